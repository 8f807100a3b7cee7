//! The routes that the kernel side distinguishes, by the numbers that it gives them.

use std::collections::HashMap;

use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;

use super::path;
use super::types;
use crate::bpf::live::Live;
use crate::routes::fold;

/// What stands for all routes that found no room.
const OTHER: &str = "other";

/// Names of routes, each out of the first path of it that was seen.
#[derive(Debug, Default)]
pub(super) struct Routes(HashMap<u32, String>);

impl Routes {
    /// Learns the routes that came since.
    pub(super) fn learn(&mut self, live: &Live) -> Result<()> {
        let map = live.map("routes")?;
        for key in map.keys() {
            let number = key.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
            if self.0.contains_key(&number) {
                continue;
            }
            let value = map.lookup(&key, MapFlags::ANY)?;
            if let Some(route) = value.and_then(|value| crate::bpf::read::<types::route>(&value)) {
                let kept = route.path.get(..route.bytes as usize).unwrap_or(&route.path);
                self.0.insert(number, fold(&path(kept, false)));
            }
        }
        Ok(())
    }

    /// The name of a route.
    pub(super) fn name(&self, number: u32) -> &str {
        self.0.get(&number).map_or(OTHER, String::as_str)
    }
}
