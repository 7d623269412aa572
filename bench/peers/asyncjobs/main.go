// Command asyncjobs is asyncjobs' side of the comparison: a worker, and a client that obeys lines of its input.
//
//	asyncjobs work URL SLOTS
//	asyncjobs client URL
//
// A client is told "many FIRST COUNT ABREAST" and answers with one line when all of them are enqueued. Tasks note that
// they began as bench/body.py does: 32 bytes in the file that BENCH_NOTES names.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	aj "github.com/choria-io/asyncjobs"
	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"
)

const taskType = "bench:noop"

type payload struct {
	Index  int64    `json:"index"`
	Sent   int64    `json:"sent"`
	User   string   `json:"user"`
	Tags   []string `json:"tags"`
	Amount float64  `json:"amount"`
	Note   string   `json:"note"`
}

type result struct {
	Index int64 `json:"index"`
	OK    bool  `json:"ok"`
}

type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(format string, args ...any) {
	log.Printf(format, args...)
}

func main() {
	switch os.Args[1] {
	case "work":
		slots, err := strconv.Atoi(os.Args[3])
		check(err)
		work(os.Args[2], slots)
	case "client":
		client(os.Args[2])
	}
}

func connect(url string, slots int) *aj.Client {
	nc, err := nats.Connect(url, nats.UseOldRequestStyle())
	check(err)
	made, err := aj.NewClient(aj.NatsConn(nc), aj.ClientConcurrency(slots), aj.CustomLogger(silent{}),
		aj.BindWorkQueue("DEFAULT"))
	if err != nil {
		made, err = aj.NewClient(aj.NatsConn(nc), aj.ClientConcurrency(slots), aj.CustomLogger(silent{}),
			aj.WorkQueue(&aj.Queue{Name: "DEFAULT", MaxConcurrent: 1000}))
	}
	check(err)
	return made
}

func work(url string, slots int) {
	notes, err := os.OpenFile(os.Getenv("BENCH_NOTES"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	check(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	router := aj.NewTaskRouter()
	check(router.HandleFunc(taskType, func(_ context.Context, _ aj.Logger, t *aj.Task) (any, error) {
		var given payload
		if err := json.Unmarshal(t.Payload, &given); err != nil {
			return nil, err
		}
		note := make([]byte, 0, 32)
		for _, value := range []int64{given.Index, given.Sent, now(), int64(os.Getpid())} {
			note = binary.LittleEndian.AppendUint64(note, uint64(value))
		}
		_, err := notes.Write(note)
		return result{given.Index, true}, err
	}))
	_ = connect(url, slots).Run(ctx, router)
}

func client(url string) {
	made := connect(url, 10)
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		first, count, abreast := number(words[1]), number(words[2]), number(words[3])
		indices := make(chan int64, count)
		for index := first; index < first+count; index++ {
			indices <- index
		}
		close(indices)
		var all sync.WaitGroup
		for range abreast {
			all.Go(func() {
				for index := range indices {
					enqueue(made, index)
				}
			})
		}
		all.Wait()
		fmt.Println("done")
	}
}

func enqueue(made *aj.Client, index int64) {
	task, err := aj.NewTask(taskType, payload{index, now(), "user-0012345", []string{"alpha", "beta"}, 12.5,
		strings.Repeat("x", 24)})
	check(err)
	check(made.EnqueueTask(context.Background(), task))
}

// now is the monotonic clock that all processes of a machine share.
func now() int64 {
	var at unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_MONOTONIC, &at))
	return at.Nano()
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
