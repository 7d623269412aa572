// read takes lines from stdin and prints, line by line, what asyncjobs understands of them, as JSON.
//
//	go run ./read < LINES
//
// Each line is a kind (task, item, event or schedule), a blank, and the JSON that was on the wire. What asyncjobs cannot read is
// printed as {"error": "..."}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	aj "github.com/choria-io/asyncjobs"
	"github.com/robfig/cron/v3"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		kind, data, _ := strings.Cut(lines.Text(), " ")
		value, err := read(kind, []byte(data))
		if err != nil {
			value = map[string]string{"error": err.Error()}
		}
		if err := out.Encode(value); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

func read(kind string, data []byte) (any, error) {
	switch kind {
	case "task":
		task := &aj.Task{}
		return task, json.Unmarshal(data, task)
	case "item":
		item := &aj.ProcessItem{}
		return item, json.Unmarshal(data, item)
	case "event":
		event, _, err := aj.ParseEventJSON(data)
		return event, err
	case "schedule":
		schedule := &aj.ScheduledTask{}
		err := json.Unmarshal(data, schedule)
		if err == nil {
			_, err = cron.ParseStandard(schedule.Schedule)
		}
		return schedule, err
	default:
		return nil, fmt.Errorf("unknown kind %q", kind)
	}
}
