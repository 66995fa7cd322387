package limit_test

import (
	"testing"

	"github.com/millrace-orders/millrace/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
