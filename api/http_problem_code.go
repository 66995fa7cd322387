package api

import (
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// problemCodes are the codes of all problems, for the document: the HTTP layer's and those that operations declare.
// docs/problems.md says what each means; a test holds the three against each other.
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

// documentCodes gives the code of a problem its enumeration.
func documentCodes(doc *huma.OpenAPI, problem *huma.Schema) {
	r := doc.Components.Schemas
	described := r.SchemaFromRef(problem.Ref)
	described.Properties["code"] = enum(r, "ProblemCode",
		"What went wrong, for programs. What a code means never changes; more may be added, so take one that you do not "+
			"know for its status", problemCodes(doc))
}
