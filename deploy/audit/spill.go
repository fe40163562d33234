package audit

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
)

// entry is one thing that was read about an order: just one field is set.
type entry struct {
	Order       *orderDocument
	Reservation *reservationDocument
	Shipment    *shipmentDocument
	Accepted    string // an order that a client was told is there
	Letter      *letter
	Heard       *heard
}

// key is what all entries of one order have in common.
func (e *entry) key() string {
	switch {
	case e.Order != nil:
		return e.Order.ID
	case e.Reservation != nil:
		return e.Reservation.ID
	case e.Shipment != nil:
		return e.Shipment.ID
	case e.Letter != nil:
		return e.Letter.Key
	case e.Heard != nil:
		return e.Heard.Key
	default:
		return e.Accepted
	}
}

const (
	// fanOut is into how many buckets entries are spilled, and a bucket that is too large once more.
	fanOut     = 128
	fanOutBits = 7
	// maxLevels is how often that is done: what is still too large then is about very few orders, of which memory holds
	// one dossier each, however much was written about them.
	maxLevels = 5
)

// spill keeps entries in files by the hash of their order's id, each file in the order in which they came. So all about
// an order is in one bucket, and memory holds one bucket's orders only.
type spill struct {
	dir     string
	level   int
	buckets [fanOut]*bucket
}

// bucket is one file, made when the first entry comes.
type bucket struct {
	file    *os.File
	buffer  *bufio.Writer
	enc     *gob.Encoder
	entries int
}

func (s *spill) put(e *entry) error {
	n := hashOf(e.key()) >> (fanOutBits * s.level) % fanOut
	b := s.buckets[n]
	if b == nil {
		f, err := os.CreateTemp(s.dir, fmt.Sprintf("%d-%d-", s.level, n))
		if err != nil {
			return fmt.Errorf("set aside what was read: %w", err)
		}
		b = &bucket{file: f, buffer: bufio.NewWriterSize(f, 16<<10)}
		b.enc = gob.NewEncoder(b.buffer)
		s.buckets[n] = b
	}
	b.entries++
	if err := b.enc.Encode(e); err != nil {
		return fmt.Errorf("set aside what was read: %w", err)
	}
	return nil
}

// each hands over the buckets one after the other, none of which has more than limit entries if more than one order is
// in it. A bucket's file is gone once it was done. do reads it, wholly or not at all.
func (s *spill) each(limit int, do func(*bucket) error) error {
	for n, b := range s.buckets {
		if b == nil {
			continue
		}
		s.buckets[n] = nil
		if err := s.one(b, limit, do); err != nil {
			return err
		}
	}
	return nil
}

func (s *spill) one(b *bucket, limit int, do func(*bucket) error) error {
	defer b.remove()
	if b.entries <= limit || s.level+1 == maxLevels {
		return do(b)
	}
	finer := &spill{dir: s.dir, level: s.level + 1}
	defer finer.close()
	if err := b.read(finer.put); err != nil {
		return err
	}
	b.remove() // now, not only after the finer ones: the disk holds each entry about once
	return finer.each(limit, do)
}

// close removes what each has not come to.
func (s *spill) close() {
	for _, b := range s.buckets {
		if b != nil {
			b.remove()
		}
	}
}

// read hands over the entries of a bucket in the order in which they were put.
func (b *bucket) read(each func(*entry) error) error {
	if err := b.buffer.Flush(); err != nil {
		return fmt.Errorf("set aside what was read: %w", err)
	}
	if _, err := b.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read back what was set aside: %w", err)
	}
	dec := gob.NewDecoder(bufio.NewReaderSize(b.file, 64<<10))
	for {
		e := new(entry)
		err := dec.Decode(e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read back what was set aside: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// remove may be called twice. That a temporary file stays behind is no reason to fail: its directory is removed, too.
func (b *bucket) remove() {
	_ = b.file.Close()
	_ = os.Remove(b.file.Name())
}
