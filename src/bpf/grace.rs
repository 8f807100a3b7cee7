//! Waiting until the programs that are under way have ended.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::TryRecvError;
use std::sync::mpsc::channel;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;

use super::rings::create_map;
use super::rings::options;

/// Waits, in a thread of its own, for every program that was running when it was asked to. Where programs can be preempted, as on
/// functions of processes, one may be halfway through for as long as others have its CPU.
///
/// The kernel offers that wait to whoever changes an array of maps: the call returns when all programs that may have
/// seen the old map have ended (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c, since 4.20), after 10 to 30 ms on most machines.
#[derive(Debug)]
pub struct Grace {
    ask: Sender<()>,
    over: Receiver<Result<()>>,
    under_way: bool,
}

impl Grace {
    /// Starts the thread, which ends with this.
    ///
    /// # Errors
    /// When the kernel refuses the maps or the thread.
    pub fn start() -> Result<Grace> {
        let inner = create_map(MapType::Array, "ebrec_grace_in", 4, 4, 1, &options())?;
        let mut with_inner = options();
        with_inner.inner_map_fd = u32::try_from(inner.as_fd().as_raw_fd())?;
        let outer = create_map(MapType::ArrayOfMaps, "ebrec_grace", 4, 4, 1, &with_inner)?;
        let (ask, asked) = channel();
        let (answer, over) = channel();
        let waits = move || {
            for () in asked {
                if answer.send(wait(&outer, &inner)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("ebrec-grace".to_owned()).spawn(waits).context("can't start a thread")?;
        Ok(Grace { ask, over, under_way: false })
    }

    /// Begins to wait for the programs that are running now. One wait at a time.
    pub fn begin(&mut self) {
        self.under_way = self.ask.send(()).is_ok();
    }

    /// Whether all that were running at the last [`Grace::begin`] have ended.
    ///
    /// # Errors
    /// When the kernel refused to wait.
    pub fn is_over(&mut self) -> Result<bool> {
        if !self.under_way {
            return Ok(true);
        }
        match self.over.try_recv() {
            Ok(waited) => {
                self.under_way = false;
                waited.map(|()| true)
            }
            Err(TryRecvError::Empty) => Ok(false),
            Err(TryRecvError::Disconnected) => anyhow::bail!("the thread that waits for programs has stopped"),
        }
    }
}

fn wait(outer: &MapHandle, inner: &MapHandle) -> Result<()> {
    let inner = inner.as_fd().as_raw_fd().to_ne_bytes();
    outer.update(&0u32.to_ne_bytes(), &inner, MapFlags::ANY).context("can't wait for the programs that are running")
}
