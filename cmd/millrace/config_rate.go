package main

import (
	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth/roles"
)

// rateFlags are not part of apiFlags, because dev has a different default.
type rateFlags struct {
	RateLimit int `env:"MILLRACE_RATE_LIMIT" default:"100" min:"0" help:"Requests in --rate-window of one customer or viewer or, without a credential, of one client address; 0 for no limit."`
	roleRateFlags
}

// roleRateFlags are the limits of roles. A shop's own backend is one key, and operators act for all customers.
type roleRateFlags struct {
	RateLimitCustomer *int `env:"MILLRACE_RATE_LIMIT_CUSTOMER" min:"0" help:"Limit of one customer, instead of --rate-limit."`
	RateLimitViewer   *int `env:"MILLRACE_RATE_LIMIT_VIEWER" min:"0" help:"Limit of one viewer, instead of --rate-limit."`
	RateLimitService  int  `env:"MILLRACE_RATE_LIMIT_SERVICE" default:"0" min:"0" help:"Limit of one service; 0 for no limit."`
	RateLimitOperator int  `env:"MILLRACE_RATE_LIMIT_OPERATOR" default:"0" min:"0" help:"Limit of one operator; 0 for no limit."`
	RateLimitAdmin    int  `env:"MILLRACE_RATE_LIMIT_ADMIN" default:"0" min:"0" help:"Limit of one admin; 0 for no limit."`
}

func (f roleRateFlags) limits(base int) api.Limits {
	limits := api.Limits{Base: base, Roles: map[roles.Role]int{
		roles.Service: f.RateLimitService, roles.Operator: f.RateLimitOperator, roles.Admin: f.RateLimitAdmin,
	}}
	for role, limit := range map[roles.Role]*int{roles.Customer: f.RateLimitCustomer, roles.Viewer: f.RateLimitViewer} {
		if limit != nil {
			limits.Roles[role] = *limit
		}
	}
	return limits
}
