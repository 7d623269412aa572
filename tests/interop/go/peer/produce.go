package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"time"

	aj "github.com/choria-io/asyncjobs"
	"github.com/nats-io/nats.go"
)

// wanted is a line that enqueue reads. Seconds are numbers.
type wanted struct {
	Type     string   `json:"type"`
	Payload  any      `json:"payload"`
	Deadline *float64 `json:"deadline"`
	MaxTries *int     `json:"max_tries"`
	Depends  []string `json:"depends"`
	Load     bool     `json:"load"`
}

func (w wanted) task() (*aj.Task, error) {
	var opts []aj.TaskOpt
	if w.Deadline != nil {
		opts = append(opts, aj.TaskDeadline(time.Now().UTC().Add(seconds(*w.Deadline))))
	}
	if w.MaxTries != nil {
		opts = append(opts, aj.TaskMaxTries(*w.MaxTries))
	}
	if len(w.Depends) > 0 {
		opts = append(opts, aj.TaskDependsOnIDs(w.Depends...))
	}
	if w.Load {
		opts = append(opts, aj.TaskRequiresDependencyResults())
	}
	return aj.NewTask(w.Type, w.Payload, opts...)
}

// enqueue puts the tasks that it reads into a queue, and prints each as it was stored.
func enqueue(nc *nats.Conn, args []string) {
	var seed string
	rest := flags("enqueue", args, func(set *flag.FlagSet) {
		set.StringVar(&seed, "sign", "", "hex seed to sign with")
	})
	var opts []aj.ClientOpt
	if seed != "" {
		opts = append(opts, aj.TaskSigningKey(ed25519.NewKeyFromSeed(unhex(seed))))
	}
	c := client(nc, rest[0], opts...)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var line wanted
		check(json.Unmarshal(lines.Bytes(), &line))
		task, err := line.task()
		check(err)
		check(c.EnqueueTask(context.Background(), task))
		say(task)
	}
	check(lines.Err())
}

// retry runs tasks again by their ids.
func retry(nc *nats.Conn, args []string) {
	c := client(nc, args[0])
	for _, id := range args[1:] {
		if err := c.RetryTaskByID(context.Background(), id); err != nil {
			say(map[string]string{"error": err.Error()})
			continue
		}
		say(map[string]string{"retried": id})
	}
}

// view prints tasks as a client reads them, which may verify signatures.
func view(nc *nats.Conn, args []string) {
	var key string
	rest := flags("view", args, func(set *flag.FlagSet) {
		set.StringVar(&key, "verify", "", "hex public key to verify with")
	})
	c, err := aj.NewClient(aj.NatsConn(nc), aj.BindWorkQueue(rest[0]), aj.TaskVerificationKeyHexEncoded(key))
	check(err)
	for _, id := range rest[1:] {
		task, err := c.LoadTaskByID(id)
		if err != nil {
			say(map[string]string{"error": err.Error()})
			continue
		}
		say(task)
	}
}

// queue joins a queue, or makes it if it is not there, and prints what a client then holds for its settings.
func queue(nc *nats.Conn, args []string) {
	q := &aj.Queue{}
	var runTime, age float64
	rest := flags("queue", args, func(set *flag.FlagSet) {
		set.IntVar(&q.MaxTries, "tries", 0, "deliveries of an item")
		set.IntVar(&q.MaxConcurrent, "concurrent", 0, "tasks at one time")
		set.IntVar(&q.MaxEntries, "entries", 0, "items at most")
		set.BoolVar(&q.DiscardOld, "discard-old", false, "drop the oldest item when full")
		set.Float64Var(&runTime, "run-time", 0, "seconds of a handler")
		set.Float64Var(&age, "age", 0, "seconds of an item")
	})
	q.Name, q.MaxRunTime, q.MaxAge = rest[0], seconds(runTime), seconds(age)
	_, err := aj.NewClient(aj.NatsConn(nc), aj.WorkQueue(q))
	check(err)
	say(q)
}

func unhex(text string) []byte {
	found, err := hex.DecodeString(text)
	check(err)
	return found
}
