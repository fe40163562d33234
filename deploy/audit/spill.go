package audit

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
)

// spill keeps values by partition in files, so that memory holds one partition's only.
type spill[T any] struct {
	files   []*os.File
	buffers []*bufio.Writer
	enc     []*gob.Encoder
}

func newSpill[T any](dir, name string, partitions int32) (*spill[T], error) {
	s := &spill[T]{}
	for p := range partitions {
		f, err := os.CreateTemp(dir, fmt.Sprintf("%s-%d-", name, p))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("keep documents aside: %w", err), s.close())
		}
		b := bufio.NewWriterSize(f, 16<<10)
		s.files, s.buffers, s.enc = append(s.files, f), append(s.buffers, b), append(s.enc, gob.NewEncoder(b))
	}
	return s, nil
}

func (s *spill[T]) put(partition int32, v *T) error {
	if err := s.enc[partition].Encode(v); err != nil {
		return fmt.Errorf("keep documents aside: %w", err)
	}
	return nil
}

// each reads a partition back.
func (s *spill[T]) each(partition int32, do func(*T)) error {
	if err := s.buffers[partition].Flush(); err != nil {
		return fmt.Errorf("keep documents aside: %w", err)
	}
	f := s.files[partition]
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read documents back: %w", err)
	}
	dec := gob.NewDecoder(bufio.NewReaderSize(f, 64<<10))
	for {
		v := new(T)
		err := dec.Decode(v)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read documents back: %w", err)
		}
		do(v)
	}
}

func (s *spill[T]) close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
