#!/bin/bash
# Runs the AVX-512 backend where there is no CPU for it: tests in a Linux guest under the Bochs emulator.
#
#     tools/avx512.sh [FOLDER]        what is made along the way goes to FOLDER, target/avx512 if it isn't given
#
# `agreement`, `parts` and of `native` the slow paths, as `cargo test --release` builds them, are the guest's only programs besides busybox. The emulator does some ten million instructions a second, so there are few
# cases of the first (TAPELESS_CASES, TAPELESS_SEED): 12 take three minutes. Of the second it is as many as it asks for to have seen every kind. It says nothing about time. Debian's packages: bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso
# busybox-static cpio, and a kernel (linux-image-amd64, downloaded and unpacked, not installed). Ends with `avx512: no differences`.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-target/avx512}")
cases=${TAPELESS_CASES:-60} seed=${TAPELESS_SEED:-1}
for program in bochs xorriso busybox cpio; do
    command -v $program >/dev/null || { echo "$program is missing: see the packages above" >&2; exit 2; }
done
mkdir -p "$out"

if ! ls "$out"/kernel/boot/vmlinuz-* >/dev/null 2>&1; then
    package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
    (cd "$out" && apt-get download "$package" && dpkg -x "$package"_*.deb kernel && rm "$package"_*.deb)
fi

# The guest: the tests with the libraries they want, and what runs them.
root=$out/root
rm -rf "$root" && mkdir -p "$root"/{bin,proc,sys,dev,tmp}
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in sh mount poweroff; do ln -s busybox "$root/bin/$applet"; done
for test in agreement parts native; do
    built=$(cargo test --release --no-run --test $test 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
    cp "$built" "$root/$test" && strip "$root/$test"
    for library in $(ldd "$built" | grep -o '/lib[^ ]*'); do install -D "$(realpath "$library")" "$root$library"; done
done
cat > "$root/init" <<INIT
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
{
    TAPELESS_CASES=$cases TAPELESS_SEED=$seed /agreement && TAPELESS_CASES=600 /parts && /native a_slow_path && echo ALL PASSED
} > /dev/ttyS0 2>&1
# What was written is still on its way.
busybox sleep 2
poweroff -f
INIT
chmod +x "$root/init"

# A disc that boots it. Bochs 2.7 gives another size of compacted state than Linux computes, and then Linux would do without AVX altogether.
disc=$out/disc
rm -rf "$disc" && mkdir -p "$disc/isolinux"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$disc/isolinux/"
cp "$out"/kernel/boot/vmlinuz-* "$disc/vmlinuz"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) > "$disc/initrd.gz"
cat > "$disc/isolinux/isolinux.cfg" <<'CFG'
DEFAULT tests
PROMPT 0
LABEL tests
 KERNEL /vmlinuz
 INITRD /initrd.gz
 APPEND console=ttyS0 quiet nokaslr nosmp acpi=off mitigations=off tsc=reliable lpj=1000000 clearcpuid=xsaves,xsavec
CFG
xorriso -as mkisofs -quiet -o "$out/disc.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$disc" 2>/dev/null
cat > "$out/bochs.rc" <<RC
display_library: term
cpu: model=corei7_skylake_x, count=1, ips=50000000, reset_on_triple_fault=0
memory: guest=2048, host=2048
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=$out/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$out/serial.txt
log: $out/bochs.log
panic: action=report
error: action=ignore
info: action=ignore
clock: sync=none
sound: driver=dummy
speaker: enabled=0
plugin_ctrl: speaker=0, gameport=0, parallel=1
RC

# Its display wants a terminal, and Debian's build begins in its debugger. A guest that has switched itself off leaves the emulator waiting.
rm -f "$out/serial.txt"
echo c > "$out/go"
TERM=xterm script -qfc "stty rows 50 cols 132; exec bochs -q -f $out/bochs.rc -rc $out/go" "$out/screen.txt" > /dev/null 2>&1 < /dev/null &
guest=$!
until grep -qs "System halted\|Power down\|Kernel panic" "$out/serial.txt" || ! kill -0 $guest 2>/dev/null; do sleep 2; done
pkill -KILL -f -- "-f $out/bochs.rc" || true
cat "$out/serial.txt"
grep -q "backends: .*avx512" "$out/serial.txt" && grep -q "^ALL PASSED" "$out/serial.txt"
echo "avx512: no differences"
