// Adds one to a counter that others add to as well: read, change, write under the ETag, and all of
// that again where somebody else was faster (412). The standard library is all it needs.
//
//	STOWAGE_URL=http://127.0.0.1:8080 STOWAGE_TOKEN=... go run counter.go kv|run-store NAME TIMES
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const tries = 30

var client = &http.Client{Timeout: 30 * time.Second}

// conflict says that nothing was written, and how long to wait at least.
type conflict struct{ after time.Duration }

func (conflict) Error() string { return "somebody else was faster each time" }

// call sends a request and gives the answer's status, ETag and body. A refusal is an error with its
// text; only a GET may find nothing.
func call(method, path string, headers map[string]string, body any) (int, string, []byte, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, "", nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, strings.TrimRight(os.Getenv("STOWAGE_URL"), "/")+path, content)
	if err != nil {
		return 0, "", nil, err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("STOWAGE_TOKEN"))
	request.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, "", nil, err
	}
	status := answer.StatusCode
	switch {
	case status < 300, status == http.StatusNotFound && method == http.MethodGet:
		return status, answer.Header.Get("ETag"), text, nil
	case status == http.StatusPreconditionFailed, status == http.StatusTooManyRequests,
		status == http.StatusServiceUnavailable: // nothing was applied
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return 0, "", nil, conflict{time.Duration(seconds) * time.Second}
	default:
		return 0, "", nil, fmt.Errorf("%s %s: %d %s", method, path, status, text)
	}
}

type members = map[string]any

type operation struct {
	Op    string `json:"op"`
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// updateDocument changes a run document; change takes what stands there, empty where nothing does.
func updateDocument(name string, change func(members)) error {
	path := "/run-stores/" + url.PathEscape(name)
	status, etag, text, err := call(http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	document := members{}
	condition := map[string]string{"If-None-Match": "*"}
	if status == http.StatusOK {
		if err := json.Unmarshal(text, &document); err != nil {
			return err
		}
		condition = map[string]string{"If-Match": etag}
	}
	change(document)
	_, _, _, err = call(http.MethodPut, path, condition, document)
	return err
}

// updateNamespace changes keys of a namespace; change takes all of them and gives the operations.
func updateNamespace(name string, change func(members) []operation) error {
	path := "/api/storage?ns=" + url.QueryEscape(name)
	_, etag, text, err := call(http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	keys := members{}
	if err := json.Unmarshal(text, &keys); err != nil {
		return err
	}
	headers := map[string]string{"If-Match": etag, "X-Thesara-App-Id": "counter", "Prefer": "return=minimal"}
	_, _, _, err = call(http.MethodPatch, path, headers, change(keys))
	return err
}

// again attempts until one wins; it waits longer each time, for a time that differs between clients.
func again(attempt func() error) error {
	var last conflict
	for number := 0; number < tries; number++ {
		err := attempt()
		if !errors.As(err, &last) {
			return err
		}
		most := min(time.Second, 10*time.Millisecond<<min(number, 10))
		time.Sleep(max(last.after, time.Duration(rand.Int63n(int64(most)))))
	}
	return fmt.Errorf("given up after %d tries: %w", tries, last)
}

func next(members members) int {
	count, _ := members["count"].(float64)
	return int(count) + 1
}

func run(arguments []string) error {
	usage := errors.New("usage: counter kv|run-store NAME TIMES")
	if len(arguments) != 3 {
		return usage
	}
	contract, name := arguments[0], arguments[1]
	times, err := strconv.Atoi(arguments[2])
	if err != nil {
		return usage
	}
	attempt := func() error {
		return updateDocument(name, func(document members) { document["count"] = next(document) })
	}
	if contract == "kv" {
		attempt = func() error {
			return updateNamespace(name, func(keys members) []operation {
				return []operation{{Op: "set", Key: "count", Value: next(keys)}}
			})
		}
	} else if contract != "run-store" {
		return usage
	}
	for range times {
		if err := again(attempt); err != nil {
			return err
		}
	}
	fmt.Printf("added %d\n", times)
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
