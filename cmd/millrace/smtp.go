package main

import (
	"errors"
	"os"

	"github.com/millrace-orders/millrace/upstream"
)

// smtpFlags configure a mail server, which replaces the HTTP e-mail provider.
type smtpFlags struct {
	SMTPURL          string `env:"MILLRACE_SMTP_URL" name:"smtp-url" kind:"mailserver" help:"Mail server to use instead of an e-mail provider: smtp://host:587 (STARTTLS) or smtps://host:465."`
	SMTPUser         string `env:"MILLRACE_SMTP_USER" name:"smtp-user" help:"User name at the mail server."`
	SMTPPassword     string `env:"MILLRACE_SMTP_PASSWORD" name:"smtp-password" secret:"" help:"Password at the mail server."`
	SMTPPasswordFile string `env:"MILLRACE_SMTP_PASSWORD_FILE" name:"smtp-password-file" help:"Read that password from a file."`
	SMTPAuth         string `env:"MILLRACE_SMTP_AUTH" name:"smtp-auth" enum:"auto,plain,login,cram-md5,scram-sha-256" default:"auto" help:"How to log in. auto takes the strongest way that the mail server offers."`
	SMTPPlaintext    bool   `env:"MILLRACE_SMTP_PLAINTEXT" name:"smtp-plaintext" help:"Send without TLS and without a password, for a relay on this machine."`
	EmailFrom        string `env:"MILLRACE_EMAIL_FROM" kind:"sender" help:"Sender of e-mail, needed with --smtp-url: The Shop <orders@shop.example>."`
	OperatorEmail    string `env:"MILLRACE_OPERATOR_EMAIL" help:"Address that messages to operators go to, with --smtp-url: ops@shop.example."`
	EmailTemplates   string `env:"MILLRACE_EMAIL_TEMPLATES" type:"existingdir" help:"Directory of templates that replace the built-in ones, with --smtp-url."`
}

func (f smtpFlags) check() error {
	var problems []error
	if f.SMTPURL != "" && f.EmailFrom == "" {
		problems = append(problems, errors.New("the sender of e-mail is missing: set --email-from"))
	}
	if f.OperatorEmail != "" && f.SMTPURL == "" {
		problems = append(problems, errors.New("--operator-email needs a mail server: set --smtp-url"))
	}
	if (f.SMTPUser == "") != (f.SMTPPassword == "") {
		problems = append(problems, errors.New("--smtp-user and --smtp-password must be set together"))
	}
	if f.SMTPPlaintext && f.SMTPPassword != "" {
		problems = append(problems, errors.New("--smtp-plaintext and --smtp-password exclude each other"))
	}
	return errors.Join(problems...)
}

func (f smtpFlags) config() *upstream.SMTP {
	c := &upstream.SMTP{
		URL: f.SMTPURL, User: f.SMTPUser, Password: f.SMTPPassword, Auth: f.SMTPAuth, Plaintext: f.SMTPPlaintext,
		From: f.EmailFrom, Operator: f.OperatorEmail,
	}
	if f.EmailTemplates != "" {
		c.Templates = os.DirFS(f.EmailTemplates)
	}
	return c
}
