package orders

// EventType is what an event means to a listener.
type EventType string

// The names are those of a hub that listeners may know from elsewhere.
const (
	OrderCreated            EventType = "OrderCreated"
	OrderStatusUpdated      EventType = "OrderStatusUpdated"
	OrderProcessingProgress EventType = "OrderProcessingProgress" // every other event
)

// EventTypes lists all types.
func EventTypes() []EventType {
	return []EventType{OrderCreated, OrderStatusUpdated, OrderProcessingProgress}
}

// Type returns the event's type.
func (e Event) Type() EventType {
	switch {
	case e.Kind == OrderPlaced:
		return OrderCreated
	case e.StatusChanged:
		return OrderStatusUpdated
	}
	return OrderProcessingProgress
}
