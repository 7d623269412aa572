// Command peer is a program of asyncjobs that tests start: it enqueues, works, schedules, listens and answers.
//
// It talks JSON: one value a line. The server is in INTEROP_URL.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	aj "github.com/choria-io/asyncjobs"
	"github.com/nats-io/nats.go"
)

var verbs = map[string]func(nc *nats.Conn, args []string){
	"enqueue":   enqueue,
	"retry":     retry,
	"view":      view,
	"queue":     queue,
	"work":      work,
	"answer":    answer,
	"schedule":  schedule,
	"scheduler": scheduler,
	"listen":    listen,
}

func main() {
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		log.Fatal("a verb is missing")
	}
	nc, err := nats.Connect(os.Getenv("INTEROP_URL"), nats.UseOldRequestStyle(), nats.MaxReconnects(-1))
	check(err)
	verbs[os.Args[1]](nc, os.Args[2:])
	check(nc.Flush())
}

// client returns one of the task store, and of a queue that exists.
func client(nc *nats.Conn, queue string, opts ...aj.ClientOpt) *aj.Client {
	c, err := aj.NewClient(append([]aj.ClientOpt{aj.NatsConn(nc), aj.BindWorkQueue(queue)}, opts...)...)
	check(err)
	return c
}

// flags reads a verb's flags, and returns what follows them.
func flags(verb string, args []string, define func(*flag.FlagSet)) []string {
	set := flag.NewFlagSet(verb, flag.ExitOnError)
	define(set)
	check(set.Parse(args))
	return set.Args()
}

var printing sync.Mutex

// say prints a value as a line; handlers do so at one time.
func say(value any) {
	line, err := json.Marshal(value)
	check(err)
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(line))
}

func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
