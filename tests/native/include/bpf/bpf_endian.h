/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef NATIVE_BPF_ENDIAN_H
#define NATIVE_BPF_ENDIAN_H

#define bpf_htons(number) __builtin_bswap16(number)
#define bpf_ntohs(number) __builtin_bswap16(number)
#define bpf_htonl(number) __builtin_bswap32(number)
#define bpf_ntohl(number) __builtin_bswap32(number)

#endif
