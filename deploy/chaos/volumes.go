package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// volumes are small file systems in memory, one for each data directory, that can be filled to the last byte. What a
// killed process has written to them stays, as it does on a disk.
type volumes struct {
	mu   sync.Mutex
	dirs map[string]string // by part
}

// volumeBytes is more than a part needs in a long run; memory is taken for what is stored only.
const volumeBytes = 4 << 30

// canMount tells whether this process may mount a file system.
var canMount = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "chaos-mount-")
	if err != nil {
		return false
	}
	defer os.Remove(dir) // it is empty
	v := &volumes{}
	return v.mount("try", dir) == nil && v.close() == nil
})

// mount puts a volume at an empty directory, which is the part's.
func (v *volumes) mount(part, dir string) error {
	if err := tool("mount", "-t", "tmpfs", "-o", sizeOption(volumeBytes), "chaos-"+part, dir); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.dirs == nil {
		v.dirs = map[string]string{}
	}
	v.dirs[part] = dir
	return nil
}

func (v *volumes) dir(part string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if dir, ok := v.dirs[part]; ok {
		return dir, nil
	}
	return "", fmt.Errorf("%s has no volume", part)
}

// fill leaves so many bytes free. It shrinks the volume, which takes no memory; what the part writes in the same moment
// may need another try, which leaves a little more.
func (v *volumes) fill(part string, left int64) error {
	dir, err := v.dir(part)
	for try := range int64(20) {
		if err != nil {
			return err
		}
		var now syscall.Statfs_t
		if err := syscall.Statfs(dir, &now); err != nil {
			return fmt.Errorf("ask for the room on %s: %w", dir, err)
		}
		used := int64(now.Blocks-now.Bfree) * int64(now.Bsize) //nolint:unconvert // its type is another one elsewhere
		if err = tool("mount", "-o", "remount,"+sizeOption(used+left+try<<12), dir); err == nil {
			return nil
		}
	}
	return err
}

// free gives the volume its room back.
func (v *volumes) free(part string) error {
	dir, err := v.dir(part)
	if err != nil {
		return err
	}
	return tool("mount", "-o", "remount,"+sizeOption(volumeBytes), dir)
}

// close takes the volumes away and leaves what they held in the directories below.
func (v *volumes) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs error
	for part, dir := range v.dirs {
		kept := dir + ".kept"
		errs = errors.Join(errs, os.CopyFS(kept, os.DirFS(dir)), tool("umount", dir), os.Remove(dir), os.Rename(kept, dir))
		delete(v.dirs, part)
	}
	return errs
}

func sizeOption(bytes int64) string { return "size=" + strconv.FormatInt(bytes, 10) }

// tool runs a program that says nothing unless it fails.
func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil { //nolint:noctx // it is done at once
		return fmt.Errorf("%s %s: %w: %s", name, filepath.Base(args[len(args)-1]), err, bytes.TrimSpace(out))
	}
	return nil
}
