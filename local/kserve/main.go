// Objects prints Kubernetes objects, read from the YAML files that are named,
// as one JSON list, and leaves the descriptions out of the schemas of
// CustomResourceDefinitions: the API server reads, stores and publishes each
// schema several times over, and three quarters of Gateway API's is prose.
// The build of the local cluster runs it on KServe's and Gateway API's files.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

func main() {
	objects, err := read(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(objects)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(files []string) ([]object, error) {
	objects := []object{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, document := range bytes.Split(append([]byte("\n"), text...), []byte("\n---")) {
			var found object
			if err := yaml.Unmarshal(document, &found); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if found == nil { // nothing but a comment
				continue
			}
			if found["kind"] == "CustomResourceDefinition" {
				withoutDescriptions(found)
			}
			objects = append(objects, found)
		}
	}
	return objects, nil
}

func withoutDescriptions(definition object) {
	spec, _ := definition["spec"].(object)
	versions, _ := spec["versions"].([]any)
	for _, version := range versions {
		version, _ := version.(object)
		schema, _ := version["schema"].(object)
		strip(schema["openAPIV3Schema"])
	}
}

// strip walks as a schema does, so that a property named description stays.
func strip(schema any) {
	node, ok := schema.(object)
	if !ok {
		return
	}
	delete(node, "description")
	for _, key := range []string{"items", "additionalProperties", "not"} {
		strip(node[key])
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		parts, _ := node[key].([]any)
		for _, part := range parts {
			strip(part)
		}
	}
	properties, _ := node["properties"].(object)
	for _, property := range properties {
		strip(property)
	}
}
