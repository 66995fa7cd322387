package orders

// EventType is what an event means to somebody who listens to orders.
type EventType string

// The types of events, in the words of the hub that listeners may know from elsewhere.
const (
	OrderCreated            EventType = "OrderCreated"
	OrderStatusUpdated      EventType = "OrderStatusUpdated"
	OrderProcessingProgress EventType = "OrderProcessingProgress" // neither of the others
)

// EventTypes lists all types.
func EventTypes() []EventType {
	return []EventType{OrderCreated, OrderStatusUpdated, OrderProcessingProgress}
}

// Type is the event's type.
func (e Event) Type() EventType {
	switch {
	case e.Kind == OrderPlaced:
		return OrderCreated
	case e.StatusChanged:
		return OrderStatusUpdated
	}
	return OrderProcessingProgress
}
