// A program of Go whose calls end in every way in which calls end, on goroutines that change threads and stacks that grow. It prints
// for each of its functions how many calls began and how many returned.
//
//	grow N     grown() needs a larger stack each time, N times, each in a goroutine of its own
//	panic N    every second of N calls of panicked() panics, and its caller recovers
//	recover N  every second of N calls of recovered() panics, recovers, and returns all the same
//	goexit N   every second of N goroutines ends within exited()
//	yield N    N goroutines give up their thread within yielded()
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type counts struct{ begun, returned int64 }

var grow, panics, recovers, exits, yields counts

//go:noinline
func deeper(n int) int {
	var room [1024]byte
	if n == 0 {
		return 0
	}
	room[n%1024] = byte(n)
	return deeper(n-1) + int(room[n%1024])
}

//go:noinline
func grown(n int) int {
	atomic.AddInt64(&grow.begun, 1)
	return deeper(n%200) - n
}

//go:noinline
func panicked(n int) int {
	atomic.AddInt64(&panics.begun, 1)
	if n%2 == 1 {
		panic(n)
	}
	return n + 1
}

//go:noinline
func recovered(n int) (result int) {
	defer func() {
		if recover() != nil {
			result = -1
		}
	}()
	atomic.AddInt64(&recovers.begun, 1)
	if n%2 == 1 {
		panic(n)
	}
	return n + 1
}

//go:noinline
func exited(n int) int {
	atomic.AddInt64(&exits.begun, 1)
	if n%2 == 1 {
		runtime.Goexit()
	}
	return n + 1
}

//go:noinline
func yielded(n int) int {
	atomic.AddInt64(&yields.begun, 1)
	for i := 0; i < 3; i++ {
		runtime.Gosched()
	}
	time.Sleep(time.Millisecond)
	return n + 1
}

// One call, of which a panic is survived.
func call(of func(int) int, kept *counts, n int) {
	defer func() { _ = recover() }()
	of(n)
	atomic.AddInt64(&kept.returned, 1)
}

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	var wait sync.WaitGroup
	each := func(of func(int) int, kept *counts) {
		for i := 0; i < count; i++ {
			wait.Add(1)
			go func(n int) {
				defer wait.Done()
				call(of, kept, n)
			}(i)
		}
		wait.Wait()
	}
	switch os.Args[1] {
	case "grow":
		each(grown, &grow)
	case "panic":
		for i := 0; i < count; i++ {
			call(panicked, &panics, i)
		}
	case "recover":
		for i := 0; i < count; i++ {
			call(recovered, &recovers, i)
		}
	case "goexit":
		each(exited, &exits)
	case "yield":
		each(yielded, &yields)
	}
	for _, one := range []counts{grow, panics, recovers, exits, yields} {
		fmt.Println(one.begun)
		fmt.Println(one.returned)
	}
}
