"""Which addresses of the internet are public: a server that fetches must not reach into its own network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""IPv6 addresses that stand for IPv4 ones (RFC 6052, RFC 8215)."""
_COMPATIBLE = IPv6Network("::/96")


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, in whatever form an IPv4 address hides in it.

    Not public: private, loopback, link-local (the clouds' metadata too), shared, multicast, reserved ones.
    """
    if isinstance(address, IPv6Address):
        hidden = _hidden(address)
        if hidden is not None:
            return is_public(hidden)
        if address.is_site_local:
            return False
    # is_global holds for multicast, too.
    return address.is_global and not address.is_multicast and not address.is_reserved


def _hidden(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _COMPATIBLE or any(address in network for network in NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
