package orders

// Stock is what the inventory provider last said of a product.
type Stock struct {
	ProductID int64
	Quantity  int64 // that can still be reserved
	Reserved  int64
	Price     Money    // of one piece; meaningful only with a currency
	Currency  Currency // empty if the provider names no price
}
