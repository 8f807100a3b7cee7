// Answers requests, and does a little in the background; prints its port.
package main

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	jobs := make(chan int, 10)
	for i := 0; i < 8; i++ {
		go func() {
			for range jobs {
				time.Sleep(time.Millisecond)
			}
		}()
	}
	go func() {
		for i := range time.Tick(20 * time.Millisecond) {
			jobs <- i.Nanosecond()
		}
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprintln(answer, "hello")
	}))
}
