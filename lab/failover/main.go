// Command failover loses the primary of a Patroni cluster again and again while Millrace takes orders. It looks what is
// lost, and how long it takes. It needs root and namespaces of its own: `make test-patroni` starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// target is for the time from the promotion to the first accepted order, at p99.
const target = 10 * time.Second

func main() {
	number := flag.Int("failovers", 15, "how many times the primary is lost")
	millrace := flag.String("millrace", "bin/millrace", "the program")
	config := flag.String("config", "deploy/patroni", "the configuration of the nodes")
	patroni := flag.String("patroni", "/usr", "the directory that has bin/patroni and bin/etcd: see install.sh")
	publish := flag.String("publish", "", "file into which the table is written, between its marks")
	every := flag.Duration("every", 100*time.Millisecond, "time between two orders")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := options{*number, *millrace, *config, *patroni, *publish, *every, make(chan struct{})}
	go o.listen(cancel)
	if err := lab(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	number                             int
	millrace, config, patroni, publish string
	every                              time.Duration
	enough                             chan struct{} // closed when no further failover is wanted
}

// listen ends the run in order after the failover that is under way, with all checks; a second signal ends it at once.
func (o options) listen(cancel func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	close(o.enough)
	<-signals
	cancel()
}

func (o options) isEnough() bool {
	select {
	case <-o.enough:
		return true
	default:
		return false
	}
}

func lab(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("/tmp", "millrace-failover-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
			return
		}
		err = fmt.Errorf("%w\nlogs are in %s", err, dir)
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres runs as another user
		return err
	}
	if o.millrace, err = filepath.Abs(o.millrace); err != nil {
		return err
	}
	cluster, err := newCluster(ctx, dir, o.config, o.patroni)
	if err != nil {
		return err
	}
	defer cluster.stop()
	shop, err := openShop(ctx, dir, o.millrace, cluster)
	if err != nil {
		return err
	}
	defer shop.close()
	fmt.Println("the cluster is whole, and Millrace is open")
	r, err := failovers(ctx, cluster, shop, o)
	if len(r.results) > 0 {
		r.machine = describe(ctx, o.patroni)
		fmt.Print("\n" + r.table())
	}
	if err == nil {
		err = r.judge()
	}
	if err == nil && o.publish != "" {
		err = r.publish(o.publish)
	}
	return err
}

// failovers runs all failovers under load, and then checks everything.
func failovers(ctx context.Context, cluster *cluster, s *shop, o options) (r report, err error) {
	c := &customers{shop: s, accepted: map[string]string{}}
	placing, stopPlacing := context.WithCancel(ctx)
	repeating, stopRepeating := context.WithCancel(ctx)
	defer stopRepeating()
	defer stopPlacing()
	ended := make(chan struct{})
	go func() { c.run(placing, repeating, o.every); close(ended) }()

	list := faults()
	for i := range o.number {
		if o.isEnough() {
			break
		}
		result, err := c.fail(ctx, cluster, list[i%len(list)])
		if err != nil {
			return r, fmt.Errorf("failover %d, %s: %w", i+1, list[i%len(list)].name, err)
		}
		fmt.Printf("%3d %s\n", i+1, result)
		r.results = append(r.results, result)
	}
	stopPlacing()
	select {
	case <-ended:
	case <-time.After(patience):
		return r, errors.New("some orders are not accepted: " + c.lastRefusal(time.Time{}))
	case <-ctx.Done():
		return r, ctx.Err()
	}
	r.orders = c.keys
	r.wrong, err = c.check(ctx)
	r.checked = err == nil
	return r, err
}
