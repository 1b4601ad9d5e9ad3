#!/bin/bash
# Both peers on the six small sets, one after the other; goes on where it stopped.
#
#     peers.sh SETS OUT PYTHON CRYODRGN_BIN RECOVAR_BIN
#
# SETS: the folder of simulate.py; OUT/NAME/{cryodrgn,recovar}: plain files for the scorer.
sets=$1 out=$2 python=$3 cryodrgn=$4 recovar=$5
peers=$(dirname "$0")/../peers
for name in IgG-1D CaM-1D Hsp90-2D AdK-DIMS 30S-comp Rigid-null; do
  stack=$sets/$name/particles.star rows=$sets/$name/rows.txt
  mkdir -p "$out/$name"
  echo "$(date +%T) $name cryodrgn"
  "$python" "$peers/cryodrgn.py" "$stack" -o "$out/$name/cryodrgn" --bin "$cryodrgn" \
    --zdim 4 --epochs 20 --rate 5e-4 --rows "$rows"
  echo "$(date +%T) $name recovar"
  "$python" "$peers/recovar.py" "$stack" -o "$out/$name/recovar" --bin "$recovar" \
    --zdim 4 --columns 50 --rows "$rows"
done
echo "$(date +%T) done"
