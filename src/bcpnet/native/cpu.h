/* What the CPU at hand can do, and its system saves. (__builtin_cpu_supports says so too, but zig's library has no more
   than a stub for it, which denies all.) */
#ifndef BCPNET_CPU_H
#define BCPNET_CPU_H

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

typedef struct {
    unsigned eax, ebx, ecx, edx;
} CpuLeaf;

static inline CpuLeaf cpu_leaf(unsigned leaf, unsigned subleaf)
{
    CpuLeaf of = {0};
    if (!__get_cpuid_count(leaf, subleaf, &of.eax, &of.ebx, &of.ecx, &of.edx))
        of = (CpuLeaf){0};
    return of;
}

/* Whether all of these bits are in a register. */
static inline int cpu_bits(unsigned in, unsigned bits) { return (in & bits) == bits; }

/* Whether the system saves these registers: 2 + 4 = AVX's, 32 + 64 + 128 = those of AVX-512 beside them. */
static inline int cpu_saves(unsigned registers)
{
    unsigned low = 0, high;
    if (cpu_bits(cpu_leaf(1, 0).ecx, 1u << 27))
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return cpu_bits(low, registers);
}

static inline int cpu_has_avx2_fma(void)
{
    return cpu_saves(2 + 4) && cpu_bits(cpu_leaf(1, 0).ecx, 1u << 12) && cpu_bits(cpu_leaf(7, 0).ebx, 1u << 5);
}

/* AVX-512 F, DQ, BW and VL. */
static inline int cpu_has_avx512(void)
{
    return cpu_has_avx2_fma() && cpu_saves(32 + 64 + 128) &&
           cpu_bits(cpu_leaf(7, 0).ebx, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31);
}

/* The same with VBMI2 and VNNI. */
static inline int cpu_has_avx512vnni(void)
{
    return cpu_has_avx512() && cpu_bits(cpu_leaf(7, 0).ecx, 1u << 6 | 1u << 11);
}

static inline int cpu_has_avxvnni(void) { return cpu_has_avx2_fma() && cpu_bits(cpu_leaf(7, 1).eax, 1u << 4); }
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* HWCAP_ASIMDDP, HWCAP2_I8MM, which older headers lack. */
static inline int cpu_has_dotprod(void) { return !!(getauxval(AT_HWCAP) & 1u << 20); }
static inline int cpu_has_i8mm(void) { return cpu_has_dotprod() && getauxval(AT_HWCAP2) & 1u << 13; }

#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>

static inline int cpu_has(const char *feature)
{
    int has = 0;
    size_t size = sizeof has;
    return !sysctlbyname(feature, &has, &size, 0, 0) && has;
}

static inline int cpu_has_dotprod(void) { return cpu_has("hw.optional.arm.FEAT_DotProd"); }
static inline int cpu_has_i8mm(void) { return cpu_has_dotprod() && cpu_has("hw.optional.arm.FEAT_I8MM"); }
#endif

#endif
