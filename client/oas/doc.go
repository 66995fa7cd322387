// Package oas is the client of Millrace that ogen generates from the OpenAPI document: every operation, one method each.
// Package client is made of it and nicer to use; get a generated client that shares its retries from its API method.
package oas
