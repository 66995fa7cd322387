package main

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
)

const (
	ogensErrors = "github.com/ogen-go/ogen/ogenerrors"
	ownErrors   = "github.com/millrace-orders/millrace/client/internal/ogenerrors"
)

// changes counts the changes.
type changes struct{ enums, imports int }

// edit replaces the source between two offsets.
type edit struct {
	from, to int
	text     string
}

// patch changes a file that ogen generated.
//
// Enums accept values that they do not list: a client must not refuse an answer because of a status that was added
// after the client was built.
//
// The import of ogen's errors becomes an import of our own package with the two that are used. Ogen's package includes
// its reader of documents, which needs eight modules.
func patch(source []byte) ([]byte, changes, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, changes{}, err
	}
	var edits []edit
	replace := func(n ast.Node, text string) {
		edits = append(edits, edit{fset.Position(n.Pos()).Offset, fset.Position(n.End()).Offset, text})
	}
	var made changes
	for _, spec := range file.Imports {
		if spec.Path.Value == strconv.Quote(ogensErrors) {
			replace(spec.Path, strconv.Quote(ownErrors))
			made.imports++
		}
	}
	for _, decl := range file.Decls {
		if refusal := refusalOfUnlisted(decl); refusal != nil {
			replace(refusal, "nil")
			made.enums++
		}
	}
	for _, e := range slices.Backward(edits) {
		source = slices.Concat(source[:e.from], []byte(e.text), source[e.to:])
	}
	source, err = format.Source(source)
	return source, made, err
}

// refusalOfUnlisted returns the error that an enum's Validate returns for a value that it does not list:
//
//	func (s Status) Validate() error {
//		switch s {
//		case "pending":
//			return nil
//		default:
//			return errors.Errorf("invalid value: %v", s)
//		}
//	}
//
// It returns nil for all other functions, such as Validate of a union, which switches on the union's type.
func refusalOfUnlisted(decl ast.Decl) ast.Expr {
	method, ok := decl.(*ast.FuncDecl)
	if !ok || method.Recv == nil || method.Name.Name != "Validate" || len(method.Body.List) != 1 {
		return nil
	}
	choice, ok := method.Body.List[0].(*ast.SwitchStmt)
	if !ok {
		return nil
	}
	if _, onItself := choice.Tag.(*ast.Ident); !onItself {
		return nil
	}
	for _, s := range choice.Body.List {
		clause := s.(*ast.CaseClause)
		if clause.List != nil || len(clause.Body) != 1 {
			continue
		}
		if result, ok := clause.Body[0].(*ast.ReturnStmt); ok && len(result.Results) == 1 {
			return result.Results[0]
		}
	}
	return nil
}
