//! The addresses of this machine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ptr,
};

/// Addresses at which others may reach this machine, in the order in which the system lists its
/// interfaces: of those that are up, without the loopback's and those of one link only.
pub(crate) fn addresses() -> io::Result<Vec<IpAddr>> {
    let mut list = ptr::null_mut();
    // SAFETY: the call makes a list and puts a pointer to it there.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut next = list;
    // SAFETY: each entry is valid until the list is freed, and so is the address that it points to.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        let up = libc::IFF_UP as u32;
        // SAFETY: see above; an address has the length of its family.
        let address = unsafe { address(entry.ifa_addr) };
        if entry.ifa_flags & up == up
            && let Some(address) = address
            && is_for_others(address)
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    // SAFETY: the list is freed once, and nothing of it is used any more.
    unsafe { libc::freeifaddrs(list) };
    Ok(addresses)
}

/// # Safety
/// `address` is null or points to an address of the length that its family has.
unsafe fn address(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller's promise; the family says which kind of address it is.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let address = ptr::read_unaligned(address.cast::<libc::sockaddr_in>());
                Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let address = ptr::read_unaligned(address.cast::<libc::sockaddr_in6>());
                Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

fn is_for_others(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_this_machines_own() {
        for address in addresses().unwrap() {
            assert!(is_for_others(address));
            std::net::UdpSocket::bind((address, 0)).unwrap();
        }
    }
}
