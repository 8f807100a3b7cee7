// Chains of calls in Go that end in functions which burn CPU time, or sleep: `chains` or `chains asleep`. Each says once what the runtime
// has for its callers, from the outermost in.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

var asleep bool
var sink float64
var said sync.Map
var until time.Time

//go:noinline
func burn(name string) {
	if _, known := said.LoadOrStore(name, true); !known {
		pcs := make([]uintptr, 512)
		frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
		var names []string
		for {
			frame, more := frames.Next()
			names = append([]string{frame.Function}, names...)
			if !more {
				break
			}
		}
		fmt.Println(name, strings.Join(names, ";"))
	}
	if asleep {
		pause := syscall.Timespec{Nsec: 1000000}
		syscall.Nanosleep(&pause, nil)
		return
	}
	for i := 0; i < 100000; i++ {
		sink += float64(i) * 0.5
	}
}

//go:noinline
func burnByRecursion() { burn("burnByRecursion"); sink++ }

//go:noinline
func burnInMethod() { burn("burnInMethod"); sink++ }

//go:noinline
func burnInCallback() { burn("burnInCallback"); sink++ }

//go:noinline
func burnDeferred() { burn("burnDeferred"); sink++ }

//go:noinline
func burnInGoroutine() { burn("burnInGoroutine"); sink++ }

//go:noinline
func recursive(depth int) {
	var room [64]byte
	room[depth] = byte(depth)
	if depth > 0 {
		recursive(depth - 1)
	} else {
		burnByRecursion()
	}
	sink += float64(room[depth])
}

type worker interface{ work(times int) }
type tree struct{ left, right *tree }

//go:noinline
func (t *tree) work(times int) {
	if t.left != nil {
		t.left.work(times)
	} else {
		burnInMethod()
	}
	sink += float64(times)
}

type byCallback []int

func (b *byCallback) Len() int      { return len(*b) }
func (b *byCallback) Swap(i, j int) { (*b)[i], (*b)[j] = (*b)[j], (*b)[i] }

//go:noinline
func (b *byCallback) Less(i, j int) bool {
	burnInCallback()
	return (*b)[i] < (*b)[j]
}

//go:noinline
func sorted() {
	sort.Sort(&byCallback{2, 1})
	sink++
}

//go:noinline
func deferred() {
	defer func() {
		burnDeferred()
		sink++
	}()
	sink++
}

// A stack that grows at each call.
//
//go:noinline
func grows(depth int) int {
	var room [1024]byte
	room[depth%1024] = byte(depth)
	if depth > 0 {
		return grows(depth-1) + int(room[depth%1024])
	}
	return int(room[0])
}

// CPU time so far: on a busy machine the other passes without samples.
func spent() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func main() {
	asleep = len(os.Args) > 1
	var w worker = &tree{left: &tree{left: &tree{}}}
	until = time.Now().Add(3 * time.Second)
	var all sync.WaitGroup
	for asleep && time.Now().Before(until) || !asleep && spent() < 2*time.Second {
		recursive(5)
		w.work(3)
		sorted()
		deferred()
		all.Add(1)
		go func() {
			defer all.Done()
			burnInGoroutine()
			sink += float64(grows(100))
		}()
		all.Wait()
		for i := 0; i < 200; i++ {
			until.Before(time.Now())
		}
		if !asleep {
			runtime.GC()
		}
	}
}
