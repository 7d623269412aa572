// verify takes task records from stdin and prints, line by line, what an asyncjobs client with a verification key says
// of their signatures: ok, or the error with which it refuses to load the task.
//
//	go run ./verify KEY required|optional < LINES
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"

	aj "github.com/choria-io/asyncjobs"

	"jetq.example/golden/local"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: verify KEY required|optional")
	}
	key, err := hex.DecodeString(os.Args[1])
	local.Check(err)
	opts := []aj.ClientOpt{aj.MemoryStorage(), aj.TaskVerificationKey(key)}
	if os.Args[2] == "optional" {
		opts = append(opts, aj.TaskSignaturesOptional())
	}
	nc, stop := local.Serve()
	defer stop()
	client, err := aj.NewClient(append(opts, aj.NatsConn(nc))...)
	local.Check(err)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var task struct{ ID string }
		local.Check(json.Unmarshal(lines.Bytes(), &task))
		_, err := nc.Request("CHORIA_AJ.T."+task.ID, lines.Bytes(), nc.Opts.Timeout)
		local.Check(err)
		if _, err := client.LoadTaskByID(task.ID); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
	local.Check(lines.Err())
}
