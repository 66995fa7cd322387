package api

import (
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// problemCodes returns the codes of all problems, for the document: those of the HTTP layer and those that operations
// declare. docs/problems.md explains each code; a test compares the three lists.
func problemCodes(doc *huma.OpenAPI) []string {
	all := commonErrors()
	for _, item := range doc.Paths {
		for _, op := range operationsOf(item) {
			all = append(all, declared(op).errors...)
		}
	}
	codes := make([]string, len(all))
	for i, e := range all {
		codes[i] = e.Code
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// documentCodes adds the enumeration of codes to the schema of problems.
func documentCodes(doc *huma.OpenAPI, problem *huma.Schema) {
	r := doc.Components.Schemas
	described := r.SchemaFromRef(problem.Ref)
	described.Properties["code"] = enum(r, "ProblemCode",
		"What went wrong, for programs. The meaning of a code never changes. New codes may be added: treat an unknown "+
			"code by its status", problemCodes(doc))
}
