// Workers that wait on a channel and on a sync.Cond, and others that want a mutex which each holds over a sleep.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	var held int64
	var lock, condLock sync.Mutex
	never := sync.NewCond(&condLock)
	jobs := make(chan int)
	for i := 0; i < 8; i++ {
		go func() {
			for range jobs {
			}
		}()
		go func() {
			condLock.Lock()
			never.Wait()
		}()
		go func() {
			for {
				lock.Lock()
				time.Sleep(50 * time.Millisecond)
				atomic.AddInt64(&held, 1)
				lock.Unlock()
			}
		}()
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	fmt.Printf("held=%d\n", atomic.LoadInt64(&held))
}
