// Package config reads a service's configuration from the environment, once, at the start. Whatever is wrong is told
// at once and by the variable's name, so that nobody has to start a service five times to hear of five mistakes.
package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// validator is a configuration, or a part of one, that knows what is allowed.
type validator interface{ Validate() error }

// Parse fills a T from environ ("NAME=value", as os.Environ gives it) by its env tags, and calls Validate on it and on
// each struct in it that has one. defaults, of the same form, count where environ does not set a variable. The error
// lists every problem with the name of its variable.
func Parse[T any](environ []string, defaults ...string) (T, error) {
	var conf T
	values := env.ToMap(defaults)
	maps.Copy(values, env.ToMap(environ))
	err := env.ParseWithOptions(&conf, env.Options{Environment: values})
	var problems []error
	if err != nil {
		problems = explain(err, variables(reflect.TypeFor[T]()))
	} else {
		problems = validate(reflect.ValueOf(conf))
	}
	if len(problems) > 0 {
		return conf, fmt.Errorf("configuration: %w", errors.Join(problems...))
	}
	return conf, nil
}

// validate calls Validate from the inside out.
func validate(v reflect.Value) []error {
	var problems []error
	for i := range v.NumField() {
		if f := v.Field(i); v.Type().Field(i).IsExported() && f.Kind() == reflect.Struct {
			problems = append(problems, validate(f)...)
		}
	}
	if c, ok := v.Interface().(validator); ok {
		if err := c.Validate(); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// variables maps field names to the variables that fill them.
func variables(t reflect.Type) map[string][]string {
	names := map[string][]string{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for f := range t.Fields() {
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type)
			}
			if name, _, _ := strings.Cut(f.Tag.Get("env"), ","); name != "" {
				names[f.Name] = append(names[f.Name], name)
			}
		}
	}
	walk(t)
	return names
}

// explain puts env's errors in terms of variables; env speaks of Go fields.
func explain(err error, names map[string][]string) []error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	var problems []error
	for _, e := range all.Errors {
		var parse env.ParseError
		var missing env.VarIsNotSetError
		switch {
		case errors.As(e, &parse):
			problems = append(problems, fmt.Errorf("%s: want a %s: %w", strings.Join(names[parse.Name], " or "), parse.Type, parse.Err))
		case errors.As(e, &missing):
			problems = append(problems, fmt.Errorf("%s is not set and has no default", missing.Key))
		default:
			problems = append(problems, e)
		}
	}
	return problems
}
