package main

import (
	"context"
	"os"
	"sync"

	aj "github.com/choria-io/asyncjobs"
	"github.com/nats-io/nats.go"
)

// schedule stores a schedule: its name, spec, queue, task type, and a payload that is a string to it.
func schedule(nc *nats.Conn, args []string) {
	c := client(nc, args[2])
	var payload any
	if len(args) > 4 {
		payload = args[4]
	}
	task, err := aj.NewTask(args[3], payload)
	check(err)
	check(c.NewScheduledTask(args[0], args[1], args[2], task))
	stored, err := c.LoadScheduledTaskByName(args[0])
	check(err)
	say(stored)
}

// scheduler campaigns and schedules until its stdin ends; it leaves its leadership to be missed.
func scheduler(nc *nats.Conn, args []string) {
	c := client(nc, args[1], aj.CustomLogger(teller{}))
	service, err := aj.NewTaskScheduler(args[0], c)
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	say(map[string]string{"campaigns": args[0]})
	check(service.Run(ctx, &sync.WaitGroup{}))
}

// listen prints events as asyncjobs parses them.
func listen(nc *nats.Conn, _ []string) {
	_, err := nc.Subscribe(aj.EventsSubjectWildcard, func(message *nats.Msg) {
		event, kind, err := aj.ParseEventJSON(message.Data)
		if err != nil {
			say(map[string]string{"error": err.Error(), "data": string(message.Data)})
			return
		}
		say(map[string]any{"kind": kind, "event": event})
	})
	check(err)
	check(nc.Flush())
	say(map[string]bool{"listens": true})
	_, _ = os.Stdin.Read(make([]byte, 1))
}
