#!/usr/bin/env bash
# Builds pairs of real images, NAME-old and NAME-new, from Debian's archives, with apt alone (Debian 12 or later; needs root).
# usage: tests/corpus/make.sh [OUTDIR]    OUTDIR is target/corpus; a pair that exists is left alone
# ONLY="elf mcu" builds those groups: elf (five libraries and programs, quick), mcu (firmware), kernel, rootfs (half an hour)
# needs: dpkg-dev; for rootfs mmdebstrap squashfs-tools erofs-utils e2fsprogs; for kernel zstd xz-utils python3;
#        for mcu gcc-arm-none-eabi libnewlib-arm-none-eabi make python3
set -euo pipefail
OUT=$(realpath -m "${1:-$(dirname "$0")/../../target/corpus}"); mkdir -p "$OUT"; cd "$OUT"
uris() { { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null || true; } | grep -v "^#" | grep -oE "https?://[^ ]+/debian(-security)?/?( |$)" | tr -d " " | sed "s,/$,,"; }
M=${MIRROR:-$(uris | grep "/debian$" | sed 1q)}; S=${SECMIRROR:-$(uris | grep "/debian-security$" | sed 1q)}   # the mirrors that this machine already uses
[ -n "$M" ] && [ -n "$S" ] || { echo "no Debian mirror in the apt sources: set MIRROR and SECMIRROR" >&2; exit 1; }
K=/usr/share/keyrings/debian-archive-keyring.gpg
export SOURCE_DATE_EPOCH=1700000000 E2FSPROGS_FAKE_TIME=1700000000 LC_ALL=C
UUID=6f6f6f6f-0000-4000-8000-000000000001
# ---- private apt, so that the host's sources are untouched
A=$OUT/.apt; mkdir -p $A/state/lists/partial $A/cache/archives/partial; touch $A/status
cat > $A/sources.list <<E
deb [signed-by=$K] $M bookworm main
deb [signed-by=$K] $M bookworm-backports main
deb [signed-by=$K] $S bookworm-security main
deb [signed-by=$K] $M bullseye main
deb [signed-by=$K] $S bullseye-security main
deb [signed-by=$K] $M trixie main
deb-src [signed-by=$K] $M trixie main
E
cat > $A/apt.conf <<E
Dir::State "$A/state"; Dir::Cache "$A/cache"; Dir::Etc::sourcelist "$A/sources.list";
Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferencesparts "/dev/null"; Dir::State::status "$A/status";
APT::Architecture "amd64"; APT::Architectures { "amd64"; }; APT::Sandbox::User "root";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"; Acquire::Languages "none";
E
export APT_CONFIG=$A/apt.conf
[ -e $A/updated ] || { apt-get -o Acquire::Retries=3 -o APT::Update::Error-Mode=any update -q >/dev/null && touch $A/updated; }
# version NAME SUITE : the candidate version in that suite
version() { apt-cache madison "$1" | awk -v s="$2/" '$7 !~ /Sources/ && index($6,s)==1 {print $3; exit} index($0," "s) && !/Sources/ {print $3; exit}'; }
# unpack NAME VERSION DIR
unpack() { mkdir -p .deb "$3"; (cd .deb; apt-get download -q "$1=$2" >/dev/null 2>&1 || { echo "no $1=$2" >&2; exit 1; });
  local n=${1%%:*}; dpkg-deb -x ".deb/$(ls -t .deb | grep "^${n}_" | head -1)" "$3"; }
want() { [[ " ${ONLY:-rootfs kernel elf mcu} " == *" $1 "* ]]; }   # ONLY="elf mcu" builds those groups alone
log() { echo "[corpus] $*"; echo "$*" >> versions.txt; }

# ---- (a) rootfs: bookworm point release -> with security+updates; and minbase bookworm -> trixie (worst case)
PK=systemd-sysv,udev,openssh-server,network-manager,python3,openssl,curl,ca-certificates,nginx-light,nodejs,bluez,kmod,iproute2,gnupg
rootfs() { # NAME SUITE VARIANT PKGS SOURCES...
  local name=$1 suite=$2 var=$3 pk=$4; shift 4; [ -e tree/$name.tar ] && return
  mkdir -p tree
  APT_CONFIG= mmdebstrap -q --mode=root --variant=$var ${pk:+--include=$pk} \
   --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/etc/machine-id "$1"/var/cache/ldconfig/*; mkdir -p "$1"/var/cache/apt/archives/partial' \
   --customize-hook='rm -f "$1"/etc/ssh/ssh_host_*  "$1"/etc/resolv.conf' \
   $suite tree/$name.tar "$@" ; }
pack() { # NAME EXT4MB : every image form of tree/NAME.tar
  local n=$1 mb=$2 d=tree/$1; [ -e $n.ext4 ] && return
  rm -rf $d; mkdir -p $d; tar -xpf tree/$n.tar -C $d --numeric-owner --exclude "./dev/*"
  find $d -depth -newermt @$SOURCE_DATE_EPOCH -exec touch -h -d @$SOURCE_DATE_EPOCH {} +
  tar --sort=name --numeric-owner --format=gnu -cf $n.tar -C $d .
  mksquashfs $d $n.sqzstd -comp zstd -Xcompression-level 19 -b 131072 -noappend -no-xattrs -quiet -no-progress >/dev/null
  mksquashfs $d $n.sqgzip -comp gzip -b 131072 -noappend -no-xattrs -quiet -no-progress >/dev/null
  mksquashfs $d $n.sqnone -noI -noD -noF -noX -b 131072 -noappend -no-xattrs -quiet -no-progress >/dev/null
  mkfs.erofs --quiet -T$SOURCE_DATE_EPOCH -U$UUID $n.erofs $d >/dev/null
  truncate -s ${mb}M $n.ext4.tmp
  mke2fs -q -F -t ext4 -b 4096 -U $UUID -E hash_seed=$UUID,lazy_itable_init=0,root_owner=0:0 -O ^has_journal,^metadata_csum,^dir_index -d $d $n.ext4.tmp
  mv $n.ext4.tmp $n.ext4; rm -rf $d; }
if want rootfs; then
rootfs rootfs-old bookworm minbase $PK "deb [signed-by=$K] $M bookworm main"
rootfs rootfs-new bookworm minbase $PK "deb [signed-by=$K] $M bookworm main" "deb [signed-by=$K] $M bookworm-updates main" "deb [signed-by=$K] $S bookworm-security main"
pack rootfs-old 640; pack rootfs-new 640
rootfs major-old bookworm minbase "" "deb [signed-by=$K] $M bookworm main"
rootfs major-new trixie   minbase "" "deb [signed-by=$K] $M trixie main"
for n in major-old major-new; do [ -e $n.tar ] || { mkdir -p tree/$n; tar -xpf tree/$n.tar -C tree/$n --exclude "./dev/*"; tar --sort=name --numeric-owner --mtime=@$SOURCE_DATE_EPOCH -cf $n.tar -C tree/$n .; rm -rf tree/$n; }; done
fi

# ---- (b) kernel: 6.1.x main -> 6.1.y security
kernel() { # old|new SUITE
  [ -e vmlinux-$1 ] && return
  local v=$(version linux-image-amd64 $2) dep; dep=$(apt-cache show linux-image-amd64=$v | sed -n 's/^Depends: \(linux-image-[^ ]*\).*/\1/p')
  log "kernel-$1 $dep $v"; unpack $dep $v k-$1
  cp k-$1/boot/vmlinuz-* vmlinuz-$1
  python3 - vmlinuz-$1 vmlinux-$1 <<'P'
import sys,lzma,zlib,subprocess
d=open(sys.argv[1],'rb').read()
for magic,fn in ((b'\xfd7zXZ\0',lambda b:lzma.LZMADecompressor().decompress(b)),(b'\x1f\x8b\x08',lambda b:zlib.decompressobj(31).decompress(b)),
                 (b'\x28\xb5\x2f\xfd',lambda b:subprocess.run(['zstd','-dcq'],input=b,stdout=subprocess.PIPE).stdout)):
    i=d.find(magic)
    while i>=0:
        try:
            o=fn(d[i:])
            if o[:4]==b'\x7fELF': open(sys.argv[2],'wb').write(o); sys.exit()
        except Exception: pass
        i=d.find(magic,i+1)
sys.exit('no kernel payload')
P
  local md; md=$(echo k-$1/lib/modules/*); mv $md k-$1/m      # same path names in both
  tar --sort=name --numeric-owner --mtime=@$SOURCE_DATE_EPOCH -cf modules-$1.tar -C k-$1/m kernel/fs kernel/net kernel/crypto
  rm -rf k-$1; }
if want kernel; then kernel old bookworm; kernel new bookworm-security; fi

# ---- (d) single ELFs
elf() { # NAME PKG GLOB SUITE_OLD SUITE_NEW
  local i=0 s f; for s in $4 $5; do local o=$([ $i = 0 ] && echo old || echo new); i=1
    [ -e $1-$o ] && continue; local v=$(version $2 $s); log "$1-$o $2 $v"; rm -rf e; unpack $2 $v e; f=$(find e -path "$3" -type f | sort | head -1); [ -n "$f" ] || { find e -type f >&2; exit 1; }; cp "$f" $1-$o; rm -rf e; done; }
if want elf; then
elf libcrypto libssl3 '*/libcrypto.so.3' bookworm bookworm-security
elf libc libc6 '*/libc.so.6' bookworm-security bookworm
elf python python3.11-minimal '*/bin/python3.11' bookworm bookworm-security
elf libnode libnode108 '*/libnode.so.108' bookworm bookworm-security
elf nginx nginx '*/sbin/nginx' bookworm bookworm-security
fi
# ---- (c) MCU-like firmware
if want mcu; then
elf uboot-arm   u-boot-qemu '*/qemu_arm/u-boot.bin' bullseye bullseye-security       # security patch
elf uboot-arm64 u-boot-qemu '*/qemu_arm64/u-boot.bin' bullseye bullseye-security
elf uboot-riscv u-boot-qemu '*/qemu-riscv64/u-boot.bin' bullseye bullseye-security
elf ubootmaj-arm u-boot-qemu '*/qemu_arm/u-boot.bin' bookworm trixie                  # two years apart
elf opensbi opensbi '*/generic/*fw_dynamic.bin' bookworm bookworm-backports
elf microbit firmware-microbit-micropython '*.hex' bullseye bookworm
for s in old new; do [ -e mbit-$s ] || { arm-none-eabi-objcopy -I ihex -O binary -R .sec2 microbit-$s mbit-$s; truncate -s "<262144" mbit-$s; }; done   # UICR words at 0x10001000 are cut off
# Cortex-M3: MicroPython from Debian's source package, built twice: as it is, and with a small change of the source
if [ ! -e mpy-new ]; then
  rm -rf mpy; mkdir mpy; (cd mpy; apt-get source -q --download-only micropython >/dev/null 2>&1; dpkg-source -x *.dsc src >/dev/null 2>&1)
  b() { ( cd mpy/src; make -s -j2 -C mpy-cross CWARN=-w >/dev/null 2>&1
    make -s -j2 -C ports/qemu BOARD=MPS2_AN385 BUILD=build-$1 CWARN=-w FROZEN_MANIFEST= MICROPY_ROM_TEXT_COMPRESSION=0 > ../build-$1.log 2>&1
    arm-none-eabi-objcopy -O binary ports/qemu/build-$1/firmware.elf ../../mpy-$1; cp ports/qemu/build-$1/firmware.elf ../../mpyelf-$1 ); }
  b old
  ( cd mpy/src; python3 - <<'P'
# a small feature + a bug-fix-like change: another builtin method, one more bounds test in the VM's list index
import re
p='py/objlist.c'; t=open(p).read()
t=t.replace('static mp_obj_t list_clear(mp_obj_t self_in) {','static mp_obj_t list_first(mp_obj_t self_in) {\n    mp_obj_list_t *self = MP_OBJ_TO_PTR(self_in);\n    if (self->len == 0) {\n        mp_raise_msg(&mp_type_IndexError, MP_ERROR_TEXT("first of empty list"));\n    }\n    return self->items[0];\n}\nstatic MP_DEFINE_CONST_FUN_OBJ_1(list_first_obj, list_first);\n\nstatic mp_obj_t list_clear(mp_obj_t self_in) {',1)
t=t.replace('{ MP_ROM_QSTR(MP_QSTR_clear), MP_ROM_PTR(&list_clear_obj) },','{ MP_ROM_QSTR(MP_QSTR_clear), MP_ROM_PTR(&list_clear_obj) },\n    { MP_ROM_QSTR(MP_QSTR_first), MP_ROM_PTR(&list_first_obj) },',1)
open(p,'w').write(t)
P
  )
  b new
fi
fi
ls -l | grep -E -- '-(old|new)'; cat versions.txt
