// A receiver of webhooks, without modules:
// DEMUCSSVC_TOKEN=... PORT=8080 KEEP_DIR=kept go run receiver.go
//
// It speaks plain HTTP to this machine alone: put what speaks TLS for you in front of it.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBytes = 1024 * 1024
	window   = 300 * time.Second
	whsec    = "whsec_"
)

var (
	timestamp  = regexp.MustCompile(`^[0-9]{10}$`)
	signedWith = []string{"X-Timestamp", "X-Signature", "webhook-id", "webhook-timestamp", "webhook-signature"}
)

type event struct {
	Event string `json:"event"`
	JobID string `json:"jobId"`
}

type receiver struct {
	keys    [][]byte
	keepDir string // where what comes is kept; empty: nowhere
	mutex   sync.Mutex
	handled map[string]bool // in yours: a table with a unique index
}

// keys returns the keys of one token, or of several separated by commas.
func keys(tokens string) ([][]byte, error) {
	var found [][]byte
	for _, token := range strings.Split(tokens, ",") {
		token = strings.TrimSpace(token)
		key, err := []byte(token), error(nil)
		if strings.HasPrefix(token, whsec) {
			key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(token, whsec))
		}
		if err != nil || len(key) == 0 {
			return nil, fmt.Errorf("set DEMUCSSVC_TOKEN to the token of the service")
		}
		found = append(found, key)
	}
	return found, nil
}

// isGenuine says whether a body is the service's, by the headers of Standard Webhooks.
func (r *receiver) isGenuine(header http.Header, body []byte) bool {
	id, stamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	if id == "" || !timestamp.MatchString(stamp) {
		return false
	}
	seconds, _ := strconv.ParseInt(stamp, 10, 64)
	if time.Since(time.Unix(seconds, 0)).Abs() > window {
		return false
	}
	genuine := false
	for _, key := range r.keys {
		digest := hmac.New(sha256.New, key)
		fmt.Fprintf(digest, "%s.%s.", id, stamp)
		digest.Write(body)
		wanted := "v1," + base64.StdEncoding.EncodeToString(digest.Sum(nil))
		for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
			genuine = hmac.Equal([]byte(wanted), []byte(given)) || genuine
		}
	}
	return genuine
}

// handle is where your work goes. After an error the event comes again.
func handle(one event) error {
	fmt.Println(one.Event, one.JobID)
	return nil
}

// keep writes what came into keepDir, as `track-tree-audio verify-webhook` reads it.
func (r *receiver) keep(name string, header http.Header, body []byte) error {
	if r.keepDir == "" {
		return nil
	}
	var lines strings.Builder
	for _, one := range signedWith {
		if value := header.Get(one); value != "" {
			fmt.Fprintf(&lines, "%s: %s\n", one, value)
		}
	}
	path := filepath.Join(r.keepDir, name)
	return errors.Join(
		os.MkdirAll(r.keepDir, 0o700),
		os.WriteFile(path+".headers", []byte(lines.String()), 0o600),
		os.WriteFile(path+".json", body, 0o600),
	)
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.WriteHeader(r.answer(w, request))
}

func (r *receiver) answer(w http.ResponseWriter, request *http.Request) int {
	if request.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBytes))
	if err != nil {
		return http.StatusRequestEntityTooLarge
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !r.isGenuine(request.Header, body) {
		if err := r.keep("refused", request.Header, body); err != nil {
			log.Print(err)
		}
		return http.StatusUnauthorized
	}
	id := request.Header.Get("webhook-id")
	if r.handled[id] {
		return http.StatusNoContent
	}
	var one event
	if json.Unmarshal(body, &one) != nil {
		return http.StatusInternalServerError
	}
	if err := r.keep(one.JobID+"."+one.Event, request.Header, body); err != nil {
		log.Print(err)
		return http.StatusInternalServerError
	}
	if handle(one) != nil {
		return http.StatusInternalServerError
	}
	r.handled[id] = true
	return http.StatusNoContent
}

func main() {
	found, err := keys(os.Getenv("DEMUCSSVC_TOKEN"))
	if err != nil {
		log.Fatal(err)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := http.Server{
		Addr:        "127.0.0.1:" + port,
		Handler:     &receiver{keys: found, keepDir: os.Getenv("KEEP_DIR"), handled: map[string]bool{}},
		ReadTimeout: 15 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
