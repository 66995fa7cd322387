package orders

// Stock is the inventory provider's latest record of a product.
type Stock struct {
	ProductID int64
	Quantity  int64 // that can still be reserved
	Reserved  int64
	Price     Money    // of one piece; meaningful only with a currency
	Currency  Currency // empty if the provider names no price
}
