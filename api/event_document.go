package api

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// streamEvent describes an event of a stream: a component with an enum and not a constant, whose id is a string, as it
// is in a browser. Generators read that.
func streamEvent(r huma.Registry, t EventType, data *huma.Schema) {
	r.Map()[streamEventName(t)] = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"data", "event", "id"},
		Properties: map[string]*huma.Schema{
			"id":    {Type: huma.TypeString, Description: "For Last-Event-ID: where the stream goes on after a break"},
			"event": {Type: huma.TypeString, Enum: []any{string(t)}},
			"data":  data,
			"retry": {Type: huma.TypeInteger, Description: "Milliseconds to wait before reconnecting"},
		},
		Examples: []any{exampleStreamEvent(t)},
	}
}

func streamEventName(t EventType) string {
	return strings.ToUpper(string(t[:1])) + string(t[1:]) + "Event"
}

// streamResponses describes an answer that is a list or a stream of events with a discriminator.
func streamResponses(r huma.Registry, name string, types []EventType, list reflect.Type) map[string]*huma.Response {
	union := &huma.Schema{Discriminator: &huma.Discriminator{PropertyName: "event", Mapping: map[string]string{}}}
	for _, t := range types {
		ref := "#/components/schemas/" + streamEventName(t)
		union.OneOf = append(union.OneOf, &huma.Schema{Ref: ref})
		union.Discriminator.Mapping[string(t)] = ref
	}
	r.Map()[name] = union
	events := &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Ref: "#/components/schemas/" + name}}
	return map[string]*huma.Response{"200": {Description: "The events", Content: map[string]*huma.MediaType{
		mediaJSON:   {Schema: r.Schema(list, true, "")},
		mediaStream: {Schema: events, Extensions: map[string]any{"x-ogen-sse-event-shape": "full-array"}},
	}}}
}
