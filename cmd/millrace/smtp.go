package main

import (
	"os"

	"github.com/millrace-orders/millrace/upstream"
)

// smtpFlags are how e-mail goes to a mail server instead of an HTTP provider.
type smtpFlags struct {
	SMTPURL          string `env:"MILLRACE_SMTP_URL" name:"smtp-url" help:"Mail server instead of an e-mail provider: smtp://host:587 (STARTTLS) or smtps://host:465."`
	SMTPUser         string `env:"MILLRACE_SMTP_USER" name:"smtp-user" help:"User at the mail server."`
	SMTPPassword     string `env:"MILLRACE_SMTP_PASSWORD" name:"smtp-password" secret:"" help:"Password at the mail server."`
	SMTPPasswordFile string `env:"MILLRACE_SMTP_PASSWORD_FILE" name:"smtp-password-file" help:"File with that password."`
	SMTPAuth         string `env:"MILLRACE_SMTP_AUTH" name:"smtp-auth" enum:"auto,plain,login,cram-md5,scram-sha-256" default:"auto" help:"How to log in to it: auto, plain, login, cram-md5 or scram-sha-256."`
	SMTPPlaintext    bool   `env:"MILLRACE_SMTP_PLAINTEXT" name:"smtp-plaintext" help:"Go without TLS and without a password: for a relay on this machine."`
	EmailFrom        string `env:"MILLRACE_EMAIL_FROM" help:"Who writes, with --smtp-url: The Shop <orders@shop.example>."`
	EmailTemplates   string `env:"MILLRACE_EMAIL_TEMPLATES" type:"existingdir" help:"Directory of templates that replace the built-in ones, with --smtp-url."`
}

func (f smtpFlags) config() *upstream.SMTP {
	c := &upstream.SMTP{
		URL: f.SMTPURL, User: f.SMTPUser, Password: f.SMTPPassword, Auth: f.SMTPAuth, Plaintext: f.SMTPPlaintext,
		From: f.EmailFrom,
	}
	if f.EmailTemplates != "" {
		c.Templates = os.DirFS(f.EmailTemplates)
	}
	return c
}
