//! Network interfaces as addresses name them: `[ff02::7%eth0]`, `adapter=eth0`, `adapter=fe80::1`.
//!
//! IPv6 multicast goes by the interface's number (RFC 3493 §5.2), and std has no function that tells it. What it has is a
//! resolver that reads the zone of a link-local address, name or number.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

/// The number of the interface with this name, or this number; `None` where there is none.
pub(crate) fn by_name(name: &str) -> Option<u32> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-@".contains(letter);
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    if let Ok(number) = name.parse() {
        return Some(number).filter(|number| *number > 0);
    }
    let found = (format!("fe80::1%{name}").as_str(), 0).to_socket_addrs().ok()?.next()?;
    match found {
        SocketAddr::V6(address) if address.scope_id() > 0 => Some(address.scope_id()),
        _ => None,
    }
}

/// The number of the interface that has this address; `None` where there is none, or the system does not tell.
pub(crate) fn by_address(address: Ipv6Addr) -> Option<u32> {
    number_in(&std::fs::read_to_string("/proc/net/if_inet6").ok()?, address)
}

/// Looks `address` up in Linux' table: the address in 32 hexadecimal digits, the number of the interface in hexadecimal, …
fn number_in(table: &str, address: Ipv6Addr) -> Option<u32> {
    let wanted = format!("{:032x}", u128::from(address));
    let line = table.lines().find(|line| line.starts_with(&wanted))?;
    u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()
}

/// Takes the zone off the host: `ff02::7%eth0`, or with the sign encoded as RFC 6874 has it, `ff02::7%25eth0`.
pub(crate) fn split_zone(host: &str) -> Option<(Ipv6Addr, &str)> {
    let (address, zone) = host.split_once('%')?;
    let zone = zone.strip_prefix("25").filter(|zone| !zone.is_empty()).unwrap_or(zone);
    Some((address.parse().ok()?, zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_taken_off_in_both_spellings() {
        let group: Ipv6Addr = "ff02::7".parse().unwrap();
        assert_eq!(split_zone("ff02::7%lo"), Some((group, "lo")));
        assert_eq!(split_zone("ff02::7%25lo"), Some((group, "lo")));
        assert_eq!(split_zone("ff02::7%3"), Some((group, "3")));
        assert_eq!(split_zone("ff02::7"), None);
        assert_eq!(split_zone("host%lo"), None);
    }

    #[test]
    fn an_interface_is_found_by_its_address_in_the_table_of_linux() {
        let table = "fd000000000000000000000000000002 04 40 00 82     eth0\n\
                     00000000000000000000000000000001 1f 80 10 80       lo\n";
        assert_eq!(number_in(table, Ipv6Addr::LOCALHOST), Some(31));
        assert_eq!(number_in(table, "fd00::2".parse().unwrap()), Some(4));
        assert_eq!(number_in(table, "fd00::3".parse().unwrap()), None);
    }

    #[test]
    fn numbers_are_interfaces_and_nonsense_is_none() {
        assert_eq!(by_name("7"), Some(7));
        for wrong in ["", "0", "no such", "a%b", "no-such-interface"] {
            assert_eq!(by_name(wrong), None, "{wrong}");
        }
    }
}
