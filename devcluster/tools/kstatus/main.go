// Command kstatus prints what Flux, and all that use its library, make of objects.
//
// It reads JSON objects, one after the other, from its standard input and prints a line of JSON for
// each: its status in kstatus' words (Current, InProgress, Failed, Terminating, Unknown) and why.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type answer struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	log.SetFlags(0)
	if err := run(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(in io.Reader, out io.Writer) error {
	objects, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		object := unstructured.Unstructured{}
		if err := objects.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		result, err := status.Compute(&object)
		if err != nil {
			return err
		}
		err = answers.Encode(answer{
			Kind:    object.GetKind(),
			Name:    object.GetName(),
			Status:  result.Status.String(),
			Message: result.Message,
		})
		if err != nil {
			return err
		}
	}
}
