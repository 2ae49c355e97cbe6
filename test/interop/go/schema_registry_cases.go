// franz-go's registry client (Go). Prints one line per case: pass, or fail and why.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

const person = `{"type":"record","name":"Person","namespace":"g","fields":[{"name":"name","type":"string"}]}`

var ctx = context.Background()

func refused(err error, code int) error {
	var refusal *sr.ResponseError
	if !errors.As(err, &refusal) || refusal.ErrorCode != code {
		return fmt.Errorf("%v, not %d", err, code)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func same(got, want any) error {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

func theClientRegistersAndAsks(cl *sr.Client) error {
	schema := sr.Schema{Schema: person, Type: sr.TypeAvro}
	ss, err := cl.CreateSchema(ctx, "go-all", schema)
	if err != nil {
		return err
	}
	byID, err1 := cl.SchemaByID(ctx, ss.ID)
	latest, err2 := cl.SchemaByVersion(ctx, "go-all", -1)
	found, err3 := cl.LookupSchema(ctx, "go-all", schema)
	subjects, err4 := cl.Subjects(ctx)
	versions, err5 := cl.SubjectVersions(ctx, "go-all")
	uses, err6 := cl.SchemaVersionsByID(ctx, ss.ID)
	types, err7 := cl.SupportedTypes(ctx)
	text, err8 := cl.SchemaTextByVersion(ctx, "go-all", 1)
	return first(err1, err2, err3, err4, err5, err6, err7, err8,
		same(byID.Schema, person), same(latest.Version, 1), same(found.ID, ss.ID), same(versions, []int{1}),
		same(len(uses), 1), same(len(types), 3), same(text, person), same(strings.Contains(fmt.Sprint(subjects), "go-all"), true))
}

func compatibilityIsCheckedAndSet(cl *sr.Client) error {
	narrower := sr.Schema{Schema: strings.Replace(person, `"string"}`, `"string"},{"name":"age","type":"int"}`, 1)}
	_, err := cl.CreateSchema(ctx, "go-all", narrower)
	set := cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatForwardTransitive}, "go-all")
	got := cl.Compatibility(ctx, "go-all")
	check, err2 := cl.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), "go-all", -1, sr.Schema{Schema: `"int"`})
	reset := cl.ResetCompatibility(ctx, "go-all")
	return first(refused(err, 409), set[0].Err, got[0].Err, err2, reset[0].Err, same(got[0].Level, sr.CompatForwardTransitive),
		same(check.Is, false), same(len(check.Messages) > 0, true))
}

func modesAreSet(cl *sr.Client) error {
	set := cl.SetMode(ctx, sr.ModeReadOnly, "go-mode")
	_, err := cl.CreateSchema(ctx, "go-mode", sr.Schema{Schema: person})
	reset := cl.ResetMode(ctx, "go-mode")
	_, err2 := cl.CreateSchema(ctx, "go-mode", sr.Schema{Schema: person})
	imports := cl.SetMode(ctx, sr.ModeImport, "go-import")
	imported, err3 := cl.CreateSchemaWithIDAndVersion(ctx, "go-import", sr.Schema{Schema: `"bytes"`}, 4711, 3)
	return first(set[0].Err, refused(err, 42205), reset[0].Err, err2, imports[0].Err, err3, same(imported.ID, 4711), same(imported.Version, 3))
}

func referencesHoldWhatTheyName(cl *sr.Client) error {
	_, err := cl.CreateSchema(ctx, "go-inner", sr.Schema{Schema: `{"type":"enum","name":"E","namespace":"g","symbols":["A"]}`})
	outer := sr.Schema{
		Schema:     `{"type":"record","name":"R","namespace":"g","fields":[{"name":"e","type":"g.E"}]}`,
		References: []sr.SchemaReference{{Name: "g.E", Subject: "go-inner", Version: 1}},
	}
	ss, err2 := cl.CreateSchema(ctx, "go-outer", outer)
	by, err3 := cl.SchemaReferences(ctx, "go-inner", 1)
	_, err4 := cl.DeleteSubject(ctx, "go-inner", sr.SoftDelete)
	if err := first(err, err2, err3); err != nil {
		return err
	}
	return first(same(len(by), 1), same(by[0].ID, ss.ID), refused(err4, 42206))
}

func deletionIsSoftThenHard(cl *sr.Client) error {
	_, err := cl.CreateSchema(ctx, "go-gone", sr.Schema{Schema: person})
	_, early := cl.DeleteSubject(ctx, "go-gone", sr.HardDelete)
	soft, err2 := cl.DeleteSubject(ctx, "go-gone", sr.SoftDelete)
	_, err3 := cl.SubjectVersions(ctx, "go-gone")
	deleted, err4 := cl.SubjectVersions(sr.WithParams(ctx, sr.ShowDeleted), "go-gone")
	hard, err5 := cl.DeleteSubject(ctx, "go-gone", sr.HardDelete)
	return first(err, refused(early, 40405), err2, refused(err3, 40401), err4, err5, same(soft, []int{1}), same(deleted, []int{1}), same(hard, []int{1}))
}

func bytesHaveTheWireFormat(cl *sr.Client) error {
	ss, err := cl.CreateSchema(ctx, "go-wire", sr.Schema{Schema: `"string"`})
	if err != nil {
		return err
	}
	var serde sr.Serde
	serde.Register(ss.ID, "", sr.EncodeFn(func(v any) ([]byte, error) { return []byte(v.(string)), nil }))
	out, err := serde.Encode("hello")
	if err != nil {
		return err
	}
	return first(same(out[0], 0), same(binary.BigEndian.Uint32(out[1:]), ss.ID), same(string(out[5:]), "hello"))
}

func main() {
	cl, err := sr.NewClient(sr.URLs(os.Args[1]))
	if err != nil {
		panic(err)
	}
	cases := []struct {
		name string
		run  func(*sr.Client) error
	}{
		{"the client registers and asks", theClientRegistersAndAsks},
		{"compatibility is checked and set", compatibilityIsCheckedAndSet},
		{"modes are set", modesAreSet},
		{"references hold what they name", referencesHoldWhatTheyName},
		{"deletion is soft, then hard", deletionIsSoftThenHard},
		{"bytes have the wire format", bytesHaveTheWireFormat},
	}
	for _, c := range cases {
		if err := c.run(cl); err != nil {
			fmt.Printf("fail %s | %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Printf("pass %s\n", c.name)
		}
	}
}
