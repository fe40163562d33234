package docker

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/config"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/service"
	"github.com/orderwire/orderwire/pkg/web"
)

// modulePath is what all our import paths begin with.
const modulePath = "github.com/orderwire/orderwire/"

// configuration is what a program reads from its environment, as its source says: a service's main package cannot be
// imported, and a list beside it would drift.
type configuration struct {
	variables map[string]bool // name → required
	parts     []string        // the shared structs in it, as "pkg/kafka.Config"
}

// parsers run the real parsing and validation of the shared parts. HTTP_ADDR has its default in each service's main.
var parsers = map[string]func(environ []string) error{
	"pkg/service.Config": parse[service.Config],
	"pkg/kafka.Config":   parse[kafka.Config],
	"pkg/mongodb.Config": parse[mongodb.Config],
	"pkg/web.Config":     parse[web.Config],
	"pkg/auth.Config":    parse[auth.Config],
}

func parse[T any](environ []string) error {
	_, err := config.Parse[struct{ Part T }](environ, "HTTP_ADDR=:0")
	return err
}

// refused runs the parsers of the parts on an environment.
func (c configuration) refused(environ []string) (errs []error) {
	for _, part := range c.parts {
		parser, ok := parsers[part]
		if !ok {
			errs = append(errs, fmt.Errorf("add %s to parsers", part))
			continue
		}
		if err := parser(environ); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// configurationOf reads the main package in dir: its type Config with all that is in it, or, where there is none, every
// env tag of the package (orderctl's commands).
func configurationOf(dir string) (configuration, error) {
	c := configuration{variables: map[string]bool{}}
	types, err := parseTypes(dir)
	if err != nil {
		return c, err
	}
	if _, ok := types["Config"]; ok {
		return c, c.add(dir, "Config")
	}
	for name := range types {
		if err := c.add(dir, name); err != nil {
			return c, err
		}
	}
	return c, nil
}

// add collects the env tags of a struct and of the structs of ours in it.
func (c *configuration) add(dir, name string) error {
	types, err := parseTypes(dir)
	if err != nil {
		return err
	}
	declared, ok := types[name]
	if !ok {
		return fmt.Errorf("%s has no type %s", dir, name)
	}
	structure, ok := declared.spec.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	for _, field := range structure.Fields.List {
		if field.Tag != nil {
			raw, err := strconv.Unquote(field.Tag.Value)
			if err != nil {
				return err
			}
			tag := reflect.StructTag(raw)
			if tag.Get("envPrefix") != "" {
				return errors.New("envPrefix is not understood here")
			}
			if value := tag.Get("env"); value != "" {
				name, options, _ := strings.Cut(value, ",")
				required := strings.Contains(options, "required") || strings.Contains(options, "notEmpty")
				c.variables[name] = required || c.variables[name]
				continue
			}
		}
		if err := c.follow(dir, declared.file, field.Type); err != nil {
			return err
		}
	}
	return nil
}

// follow goes into a field's type where it is one of ours.
func (c *configuration) follow(dir string, file *ast.File, t ast.Expr) error {
	switch t := t.(type) {
	case *ast.Ident:
		types, err := parseTypes(dir)
		if _, ours := types[t.Name]; err != nil || !ours {
			return err
		}
		return c.add(dir, t.Name)
	case *ast.SelectorExpr:
		imported := importPath(file, t.X.(*ast.Ident).Name)
		rest, ours := strings.CutPrefix(imported, modulePath)
		if !ours {
			return nil
		}
		if strings.HasPrefix(rest, "pkg/") {
			c.parts = append(c.parts, rest+"."+t.Sel.Name)
		}
		return c.add(filepath.Join(root, rest), t.Sel.Name)
	}
	return nil
}

func importPath(file *ast.File, name string) string {
	for _, i := range file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil && (i.Name != nil && i.Name.Name == name || i.Name == nil && path.Base(p) == name) {
			return p
		}
	}
	return ""
}

// declaration is a type and the file that it is in.
type declaration struct {
	spec *ast.TypeSpec
	file *ast.File
}

// parsed remembers packages: a struct asks for its own once for each field.
var parsed sync.Map

// parseTypes reads the types of a package.
func parseTypes(dir string) (map[string]declaration, error) {
	if types, ok := parsed.Load(dir); ok {
		return types.(map[string]declaration), nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	types := map[string]declaration{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			general, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range general.Specs {
				if t, ok := s.(*ast.TypeSpec); ok {
					types[t.Name.Name] = declaration{t, file}
				}
			}
		}
	}
	if len(types) == 0 {
		return nil, fmt.Errorf("no Go in %s", dir)
	}
	parsed.Store(dir, types)
	return types, nil
}

// constant gives the value of a string constant in a file.
func constant(t *testing.T, file, name string) string {
	t.Helper()
	source, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	var value string
	ast.Inspect(source, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && v.Names[0].Name == name {
			value, err = strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
		}
		return true
	})
	require.NotEmpty(t, value, "%s has no constant %s", file, name)
	return value
}

// TestConfiguration_ReadsTheSource pins that the reader of sources sees what the services read.
func TestConfiguration_ReadsTheSource(t *testing.T) {
	c, err := configurationOf(filepath.Join(root, "services", "order-api"))
	require.NoError(t, err)
	require.Subset(t, maps.Collect(maps.All(c.variables)), map[string]bool{
		"KAFKA_BROKERS": true, "MONGODB_URI": true, "DEV_LOGIN": false, "JWT_SECRET": false, "ADMIN_ADDR": false,
	})
	require.NotContains(t, c.variables, "CARRIER_DISPATCH_AFTER")
	require.ElementsMatch(t, []string{
		"pkg/service.Config", "pkg/kafka.Config", "pkg/mongodb.Config", "pkg/web.Config", "pkg/auth.Config",
	}, c.parts)

	c, err = configurationOf(filepath.Join(root, "services", "shipping"))
	require.NoError(t, err)
	require.Contains(t, c.variables, "CARRIER_DISPATCH_AFTER", "in a package of the service")

	c, err = configurationOf(filepath.Join(root, "deploy", "orderctl"))
	require.NoError(t, err)
	require.Contains(t, c.variables, "ORDERWIRE_URL")
}
