//! What the kernel's side has to know of the places of static probes.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::anyhow;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::OpenObject;

use super::types;
use crate::bpf::bytes_of;
use crate::bpf::live::Live;
use crate::probe::site::Site;
use crate::probe::site::SiteArgument;

const MAP: &str = "event_sites";
/// No register, as bpf/events/sites.h has it.
const NONE: u8 = 0xff;
/// Where in its page a place is, and how many such there are: all that tells it without a cookie.
const PAGE_MASK: u64 = 0xfff;

/// Sizes the map before it is made.
pub(super) fn make_room(open: &mut OpenObject, sites: &[Site], cookies: bool) -> Result<()> {
    let entries = if cookies { u32::try_from(sites.len())? } else { PAGE_MASK as u32 + 1 };
    let mut map = open.maps_mut().find(|map| map.name() == MAP).context("the object has no map of places")?;
    map.set_max_entries(entries).context("can't size the map of places")
}

/// Puts in what is at each place.
///
/// # Errors
/// Two places look alike on a kernel where attachments have no cookies.
pub(super) fn fill(live: &Live, sites: &[Site], cookies: bool) -> Result<()> {
    let map = live.map(MAP)?;
    let mut taken: Vec<(u32, &Site)> = Vec::new();
    for (number, site) in (0u32..).zip(sites) {
        let key = if cookies { number } else { (site.offset & PAGE_MASK) as u32 };
        if let Some((_, other)) = taken.iter().find(|(known, _)| *known == key) {
            return Err(anyhow!(
                "before Linux 5.15 the places {:#x} and {:#x} of the file can't be distinguished: name one of the probes",
                other.offset,
                site.offset
            ));
        }
        taken.push((key, site));
        map.update(&key.to_ne_bytes(), bytes_of(&entry(site)), MapFlags::ANY)
            .context("can't tell the kernel a place")?;
    }
    Ok(())
}

fn entry(site: &Site) -> types::event_site {
    let mut entry = types::event_site { probe: site.probe as u32, ..types::event_site::default() };
    for (to, from) in entry.arguments.iter_mut().zip(&site.arguments) {
        *to = match from {
            SiteArgument::Unreadable(_) => types::site_argument { unreadable: 1, ..types::site_argument::default() },
            SiteArgument::Located(at) => types::site_argument {
                number: at.number.cast_unsigned(),
                base: at.base.unwrap_or(NONE),
                index: at.index.unwrap_or(NONE),
                shift: at.shift,
                size: at.size,
                from_probe: u8::from(at.from_probe),
                in_memory: u8::from(at.in_memory),
                is_signed: u8::from(at.signed),
                unreadable: 0,
            },
        };
    }
    entry
}
