package smtptest

import "errors"

// login is the server's side of the mechanism LOGIN: go-sasl has only the client's side.
type login struct {
	check func(user, password string) error
	step  int
	user  string
}

func newLogin(check func(user, password string) error) *login { return &login{check: check} }

// Next asks for the user, then for the password.
func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	case 3:
		return nil, true, l.check(l.user, string(response))
	}
	return nil, false, errors.New("LOGIN has two challenges only")
}
