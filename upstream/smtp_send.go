package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
)

// goodbye is how long the server may take to answer QUIT. By then the server has accepted the message.
const goodbye = time.Second

// errNoSMTPUTF8 is about the sender's own address: an operator must correct a setting. It is not about the message.
var errNoSMTPUTF8 = errors.New("server does not offer SMTPUTF8, which --email-from needs")

// send hands over the message of a step. Its reference is the Message-ID.
func (m *mailer) send(ctx context.Context, key string, body []byte) (Answer, error) {
	start := time.Now()
	ctx, span := trace.Mail(ctx, "smtp", net.JoinHostPort(m.host, strconv.Itoa(m.port)))
	answer, err := m.lane.observe(func() (Answer, error) { return m.guarded(ctx, key, body) })
	m.metrics.observe(ctx, orders.Email, string(orders.SendEmail), err, time.Since(start))
	span.EndAs(outcome(err), isFailure(err))
	return answer, err
}

func (m *mailer) guarded(ctx context.Context, key string, body []byte) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, fmt.Errorf("%s: %w", orders.Email, err)
	}
	message, err := m.letters.compose(m.from, key, body)
	if err != nil {
		return Answer{}, err
	}
	once := ledger{
		func(ctx context.Context) (bool, error) { return m.config.HandOver(ctx, key) },
		func(ctx context.Context) error { return m.config.TakeBack(ctx, key) },
	}
	return m.breaker.do(func() (Answer, error) { return m.transmit(ctx, once, message) })
}

// ledger records whether a message was given to the server, as SMTP's HandOver and TakeBack do for a key.
type ledger struct {
	handOver func(ctx context.Context) (first bool, err error)
	takeBack func(ctx context.Context) error
}

// transmit runs one SMTP session. Until the final dot of the message it is certain that nothing was sent, whatever
// fails. After the server's answer to the dot, the outcome is certain (RFC 5321, 4.1.1.4 and 6.1). In between, the
// outcome is unknown.
func (m *mailer) transmit(parent context.Context, once ledger, message message) (Answer, error) {
	ctx, cancel := context.WithTimeout(parent, m.timeout)
	defer cancel()
	s := &session{parent: parent, ctx: ctx}
	defer s.close()
	dialer, err := m.dialer(s)
	if err != nil {
		return Answer{}, s.failed(err)
	}
	client, err := dialer.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return Answer{}, s.failed(err)
	}
	// Only an address that is not ASCII before its @ needs SMTPUTF8. Any other message goes without, since the next
	// server may not support it (RFC 6531, 3.4). Such an address is not sent to a server without support (3.2).
	offered, _ := client.Extension("SMTPUTF8")
	switch fromASCII, toASCII := isASCII(m.from.Address), isASCII(message.to); {
	case fromASCII && toASCII:
		client.SkipSMTPUTF8(true)
	case !offered && !fromASCII:
		return Answer{}, s.failed(errNoSMTPUTF8)
	case !offered:
		return Answer{}, &RefusedError{"recipient_needs_smtputf8"}
	}
	if err := client.Mail(path(m.from.Address)); err != nil {
		return Answer{}, s.failed(err)
	}
	if err := client.Rcpt(path(message.to)); err != nil {
		return Answer{}, s.rejected("recipient", err)
	}
	content, err := client.Data()
	if err != nil {
		return Answer{}, s.rejected("message", err)
	}

	switch first, err := once.handOver(ctx); {
	case err != nil:
		return Answer{}, &ledgerError{err}
	case !first:
		return Answer{}, &UncertainError{orders.Email, interrupted}
	}
	if _, err := content.Write(message.bytes); err != nil {
		return Answer{}, errors.Join(s.failed(err), once.takeBack(ctx)) // there was no dot
	}
	if err := content.Close(); err != nil {
		err = s.answered(err)
		if !isSettled(err) {
			err = errors.Join(err, once.takeBack(ctx))
		}
		return Answer{}, err
	}
	_ = s.conn.SetDeadline(time.Now().Add(goodbye))
	_ = client.Quit()
	return Answer{State: orders.StateSucceeded, Reference: reference(message.id)}, nil
}

// isSettled reports whether the message is never sent again: the server rejected it, or may have it.
func isSettled(err error) bool {
	_, refused := errors.AsType[*RefusedError](err)
	_, uncertain := errors.AsType[*UncertainError](err)
	return refused || uncertain
}

// session is the connection of one delivery. It is closed when ctx ends, which ends all pending reads and writes.
type session struct {
	parent, ctx context.Context //nolint:containedctx // a session lives no longer than its call
	conn        net.Conn        // nil until connected
}

// keep hands dial's connection to the session: go-mail would leave it open if anything after dialling fails.
func (s *session) keep(conn net.Conn, err error) (net.Conn, error) {
	if err == nil {
		s.conn = conn
		context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	}
	return conn, err
}

func (s *session) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// failed classifies an error before the final dot that is not about the message.
func (s *session) failed(err error) error {
	reply, isReply := errors.AsType[*textproto.Error](err)
	switch {
	case errors.Is(s.parent.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", orders.Email, context.Canceled)
	case isReply && reply.Code/100 == 4:
		return &UnavailableError{Provider: orders.Email, Reason: fmt.Sprintf("status %d", reply.Code)}
	case isReply:
		return &MisconfiguredError{orders.Email, reply.Code}
	case s.isLost(err):
		return &UnavailableError{Provider: orders.Email, Reason: s.reason(err)}
	}
	return &MisconfiguredError{orders.Email, 0} // no STARTTLS, no common mechanism, or no SMTP
}

// rejected classifies an error that may be the server's answer about the recipient or the message.
func (s *session) rejected(what string, err error) error {
	reply, isReply := errors.AsType[*textproto.Error](err)
	switch {
	case !isReply:
		return s.failed(err)
	case reply.Code == 421: // the server is shutting down, for all messages
		return s.failed(err)
	case reply.Code/100 == 4: // greylisted, mailbox full: this message only
		return &UnavailableError{Provider: orders.Email, Reason: fmt.Sprintf("status %d", reply.Code), excused: true}
	case reply.Code == 503 || reply.Code == 530: // the server requires a login
		return s.failed(err)
	}
	return &RefusedError{fmt.Sprintf("%s_%d", what, reply.Code)}
}

// answered classifies an error after the final dot. Only an answer of the server settles the outcome.
func (s *session) answered(err error) error {
	if reply, ok := errors.AsType[*textproto.Error](err); ok && (reply.Code/100 == 4 || reply.Code/100 == 5) {
		return s.rejected("message", err)
	}
	if s.timedOut(err) {
		return &UncertainError{orders.Email, "no_answer"}
	}
	return &UncertainError{orders.Email, "connection_lost"}
}

func (s *session) isLost(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || s.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		reason(err) != connectionLost
}

func (s *session) reason(err error) string {
	if s.timedOut(err) {
		return noAnswer
	}
	return reason(err)
}

// timedOut reports whether the call's time was up: then the connection was closed under the call.
func (s *session) timedOut(err error) bool {
	return errors.Is(s.ctx.Err(), context.DeadlineExceeded) || reason(err) == noAnswer
}
