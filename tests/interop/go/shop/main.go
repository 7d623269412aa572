// Command shop runs the tasks of the queue GO; "shop send" enqueues one for Python.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	aj "github.com/choria-io/asyncjobs"
)

type image struct {
	Path  string `json:"path"`
	Width int    `json:"width"`
}

func thumbnail(_ context.Context, _ aj.Logger, task *aj.Task) (any, error) {
	var wanted image
	if err := json.Unmarshal(task.Payload, &wanted); err != nil {
		return nil, fmt.Errorf("no image: %w: %w", err, aj.ErrTerminateTask)
	}
	return fmt.Sprintf("%s at %d pixels", wanted.Path, wanted.Width), nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "send" {
		task, err := aj.NewTask("email:new", map[string]string{"to": "ann@example.com"})
		check(err)
		check(client("PYTHON").EnqueueTask(context.Background(), task))
		fmt.Println(task.ID)
		return
	}
	router := aj.NewTaskRouter()
	check(router.HandleFunc("thumbnail:make", thumbnail))
	check(client("GO").Run(context.Background(), router))
}

func client(queue string) *aj.Client {
	found, err := aj.NewClient(aj.NatsContext("shop"), aj.BindWorkQueue(queue))
	check(err)
	return found
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
