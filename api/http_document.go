package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
)

// setGlobals sets the parts of Huma's behaviour that Huma keeps in package variables.
//
//nolint:gochecknoglobals // Huma's are globals; they must be set once, before any API is made
var setGlobals = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.ValidateStrictCasing = true
	huma.NewErrorWithContext = frameworkProblem
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return frameworkProblem(nil, status, message, errs...)
	}
})

// newHumaConfig turns off Huma's additions: links to schemas in every body, pages that load scripts from other sites,
// and a 3.0 version of the document, which the event streams would make invalid.
func newHumaConfig(version string) huma.Config {
	setGlobals()
	c := huma.DefaultConfig("Millrace", version)
	c.CreateHooks = nil
	c.DocsPath, c.SchemasPath, c.OpenAPIPath = "", "", ""
	c.RejectUnknownQueryParameters = true
	c.Formats = map[string]huma.Format{mediaJSON: newJSONFormat(), "json": newJSONFormat()}
	c.Info.Description = "Places orders and carries each of them out exactly once, or undoes it."
	c.Info.Contact = &huma.Contact{Name: "Millrace", URL: "https://github.com/millrace-orders/millrace"}
	c.Info.License = &huma.License{Name: "MIT", Identifier: "MIT"}
	c.Servers = []*huma.Server{{URL: "/"}}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearerScheme: {
			Type: "http", Scheme: bearerScheme,
			Description: "A key (mr_…) or, if the server is configured for it, an OIDC token. An open server needs no " +
				"credential",
		},
	}
	return c
}

// shape finishes the document for client generators. All errors become one default response, so that a client has one
// error type. Unhealthy answers get their body. Answers may get more fields later without breaking old clients.
func shape(doc *huma.OpenAPI) {
	sent := make(map[string]bool)
	for _, item := range doc.Paths {
		for _, op := range operationsOf(item) {
			if op.RequestBody == nil {
				continue
			}
			for _, media := range op.RequestBody.Content {
				collect(doc.Components.Schemas, media.Schema, sent)
			}
		}
	}
	for name, schema := range doc.Components.Schemas.Map() {
		if !sent[name] {
			schema.AdditionalProperties = nil
		}
		for _, property := range schema.Properties {
			property.PatternDescription = "" // Huma's messages have it by now, and OpenAPI does not know it
		}
	}
	problem := doc.Components.Schemas.Schema(reflect.TypeFor[problems.Problem](), true, "")
	documentCodes(doc, problem)
	for _, item := range doc.Paths {
		for _, op := range operationsOf(item) {
			maps.DeleteFunc(op.Responses, func(code string, _ *huma.Response) bool { return code[0] == '4' || code[0] == '5' })
			op.Responses["default"] = &huma.Response{
				Description: "A problem",
				Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
			}
			declared(op).document(op)
		}
	}
}

func operationsOf(item *huma.PathItem) []*huma.Operation {
	return slices.DeleteFunc([]*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete},
		func(op *huma.Operation) bool { return op == nil })
}

// collect adds the names of all components that a schema uses.
func collect(r huma.Registry, schema *huma.Schema, names map[string]bool) {
	if schema == nil {
		return
	}
	if schema.Ref != "" {
		name := path.Base(schema.Ref)
		if names[name] {
			return
		}
		names[name] = true
		schema = r.SchemaFromRef(schema.Ref)
	}
	collect(r, schema.Items, names)
	for _, property := range schema.Properties {
		collect(r, property, names)
	}
}

// enum returns a reference to a component, so that a generated client has one type and not one per use.
func enum[T ~string](r huma.Registry, name, description string, values []T) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: description}
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	s.PrecomputeMessages()
	r.Map()[name] = s
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

// document serves /openapi.json and /openapi.yaml.
type document struct{ asJSON, asYAML func() ([]byte, error) }

func newDocument(doc *huma.OpenAPI) *document {
	return &document{
		asJSON: sync.OnceValues(func() ([]byte, error) { return json.Marshal(doc) }),
		asYAML: sync.OnceValues(doc.YAML),
	}
}

func (d *document) serveJSON(w http.ResponseWriter, r *http.Request) {
	serveDocument(w, r, "application/openapi+json", d.asJSON)
}

func (d *document) serveYAML(w http.ResponseWriter, r *http.Request) {
	serveDocument(w, r, "application/openapi+yaml", d.asYAML)
}

func serveDocument(w http.ResponseWriter, r *http.Request, media string, render func() ([]byte, error)) {
	body, err := render()
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", tag)
	if matchesETag(strings.Join(r.Header.Values("If-None-Match"), ","), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(body)
}
